"""The page that creates a run from a file or pasted rows."""
