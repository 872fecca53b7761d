"""What a person says of an attempt that stays unknown."""
