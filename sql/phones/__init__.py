"""Phones: what is known of them before they are called."""
