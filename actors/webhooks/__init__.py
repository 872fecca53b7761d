"""Sending events to webhooks: one request, to an address that has been checked."""
