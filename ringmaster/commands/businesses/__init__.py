"""Commands for one business: create it, its account, its users and tokens, its do-not-call list."""
