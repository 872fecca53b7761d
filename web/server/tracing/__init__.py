"""The spans of the web process, while a collector is set."""
