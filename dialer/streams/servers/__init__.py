"""The servers of Redis: one, or the masters of a cluster; each with its circuit breaker."""
