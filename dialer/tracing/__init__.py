"""Traces for OpenTelemetry: one for each run, from its start to the last callback. An extra: see docs/operations.md."""
