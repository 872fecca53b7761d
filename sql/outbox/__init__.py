"""Events that must not be lost, until they are told."""
