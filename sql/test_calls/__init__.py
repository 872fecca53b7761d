"""Calls that people make to hear a script, outside of any run."""
