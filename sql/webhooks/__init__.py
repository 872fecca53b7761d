"""Webhooks of businesses, and the deliveries of events to them."""
