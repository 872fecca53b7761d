"""The signatures of webhooks and the addresses they may have: shared by the API, which checks an address, and the sender."""
