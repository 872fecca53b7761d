"""What all processes share: settings, the model, the messages, the streams. Imports nothing else of the project."""
