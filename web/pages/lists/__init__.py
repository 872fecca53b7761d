"""Lists of a campaign: what became of those that it was loaded from."""
