"""What a webhook is sent, and where it may be: shared by those who enter an address and those who send."""
