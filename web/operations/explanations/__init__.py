"""Says in the reader's language what a stored code or reason means, and what to do about it."""
