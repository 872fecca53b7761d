"""What the doctor asks a database about itself."""
