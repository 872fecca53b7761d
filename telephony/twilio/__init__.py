"""Twilio: its REST API, its callbacks, its TwiML."""
