"""What will become of a run: which leads are called when, and when it ends."""
