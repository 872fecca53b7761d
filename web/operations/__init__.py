"""What a user may do and see, for the API and the pages alike: no HTML, no JSON."""
