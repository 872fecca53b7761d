"""Importing leads: a body is received, read row by row as a stream, checked, and written as a run."""
