"""The installation as a whole, for whoever operates it."""
