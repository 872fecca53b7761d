"""Stopping all dialling, of a business or of the installation."""
