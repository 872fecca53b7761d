"""Live events for browsers and services."""
