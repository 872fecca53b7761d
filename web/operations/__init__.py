"""The operations a user may perform, shared by the API and the pages; contains no HTML and no JSON."""
