"""Follows each call from its POST to its outcome, and finds the calls that no callback reports."""
