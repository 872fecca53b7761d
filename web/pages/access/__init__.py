"""Settings of access: users, tokens, sessions, the audit log, and the reader's own account."""
