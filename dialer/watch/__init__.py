"""What a process measures of itself, and the port on which a Prometheus reads it."""
