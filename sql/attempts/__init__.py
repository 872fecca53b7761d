"""Attempts, the facts about them, and the two functions on which every promise rests: claim and record."""
