"""The prices per minute of calls, in a table that the operator imports."""
