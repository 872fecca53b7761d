"""The page of one run: its state, its buttons, its leads."""
