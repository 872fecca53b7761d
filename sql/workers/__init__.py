"""Workers, their leases and their partitions."""
