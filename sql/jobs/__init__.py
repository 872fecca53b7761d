"""The leads of a run, one job each."""
