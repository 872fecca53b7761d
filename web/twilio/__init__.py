"""Callbacks and TwiML requests of the telephone company."""
