"""The calls of a run as they happened: the newest, and how many there were in each stretch of time."""
