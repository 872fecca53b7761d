"""The webhooks of a business and their deliveries, among the settings."""
