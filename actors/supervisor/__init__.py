"""Supervises the businesses of a worker: routes messages to each of them, and carries out what each decides."""
