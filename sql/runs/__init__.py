"""Runs and their counters."""
