"""Numbers that a business never calls: its own list, and the registers it has imported."""
