"""The webhooks of a business: what one may do with them."""
