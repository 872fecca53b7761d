"""Child processes: PostgreSQL and Valkey from wheels, for a laptop, a small installation and the tests; and our own processes."""
