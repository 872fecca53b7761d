"""Benchmarks: figures from real servers, never from timed tests."""
