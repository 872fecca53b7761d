"""Commands for the whole installation: start it, show it, stop its dialling, give it prices."""
