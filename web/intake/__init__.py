"""Leads from outside: a body is received, read row by row as a stream, checked, and loaded as a run."""
