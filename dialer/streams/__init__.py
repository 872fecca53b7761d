"""Redis Streams: commands, events, hints to owners, kept callbacks."""
