"""Businesses, users and tokens."""
