"""Users, sessions, tokens and the audit log: what one may do with them."""
