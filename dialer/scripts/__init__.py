"""What a call says: its script, and the texts in it."""
