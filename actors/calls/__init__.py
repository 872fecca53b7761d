"""One call from the POST to its outcome, and the calls that nobody reports."""
