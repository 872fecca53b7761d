"""Drafts of campaigns: the list that was uploaded, kept between the steps of the page, and what is shown of it."""
