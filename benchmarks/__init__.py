"""What the queue can do: figures from real servers, never from timed tests."""
