"""The command line. It may import everything; only `python -m dialer` imports it."""
