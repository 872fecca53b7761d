"""The resources of an account beside its calls: the account itself, its numbers, its permissions, its recordings."""
