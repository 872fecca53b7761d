"""Tasks with an owner, and the loop that every long-lived duty runs on."""
