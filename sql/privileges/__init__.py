"""What the role of the web process and the workers may do."""
