"""The duties of a worker for all of its businesses, one or a few loops a file."""
