"""The page of the do-not-call list."""
