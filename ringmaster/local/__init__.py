"""Real servers from wheels, started and stopped by us: PostgreSQL and Valkey for a laptop, a small installation and the tests.

Stands beside the road of a call: the servers that the road runs over, where nobody else runs them.
"""
