"""Commands: received, decided, applied once."""
