"""Attempts, the facts about them, and the two functions every promise rests on: claim and record."""
