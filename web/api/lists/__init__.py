"""What became of lists, and leads as files for people, over HTTP."""
