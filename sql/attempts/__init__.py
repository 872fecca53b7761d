"""Attempts, the facts about them, and the two functions that keep our guarantees: claim and record."""
