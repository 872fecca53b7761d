"""Sign-ins."""
