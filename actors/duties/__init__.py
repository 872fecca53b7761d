"""What a worker does all the time for all of its businesses, one loop a file."""
