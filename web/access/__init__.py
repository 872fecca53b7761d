"""Authentication: tokens, sessions, passwords."""
