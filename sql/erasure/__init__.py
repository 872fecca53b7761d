"""What is known of one business or one person: written to a file, or erased."""
