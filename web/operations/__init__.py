"""What a user may do, for the API and the pages alike: no HTML, no JSON."""
