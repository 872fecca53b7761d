"""What a person at a browser waits for: events on screen, the first visit, the upload of a list."""
