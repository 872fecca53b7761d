"""The kernel shared by all processes: settings, model, messages, streams. Imports nothing else of the project."""
