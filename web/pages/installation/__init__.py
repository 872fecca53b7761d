"""Screens of whoever operates all businesses."""
