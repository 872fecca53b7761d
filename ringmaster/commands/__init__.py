"""The commands of `python -m dialer`, one file each."""
