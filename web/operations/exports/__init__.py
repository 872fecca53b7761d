"""Leads and reports as files for people: local times, words of the language, no formulas."""
