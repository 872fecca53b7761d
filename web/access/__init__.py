"""Who may ask: tokens, sessions, passwords."""
