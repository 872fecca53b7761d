"""What whoever operates all businesses sees."""
