"""Drafts: campaigns that are not created yet."""
