"""What the size of an installation does to it, and the distance and the loss of its parts."""
