"""The credentials of provider accounts, sealed."""
