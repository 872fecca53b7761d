"""What a worker knows of each business, and what it does about it."""
