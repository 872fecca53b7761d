"""The only package that speaks to the telephone company."""
