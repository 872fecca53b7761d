"""What is imported: the leads of a new run, more leads for a run, and leads that are only checked."""
