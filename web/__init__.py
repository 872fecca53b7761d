"""The web process: the API, the pages and the provider's callbacks."""
