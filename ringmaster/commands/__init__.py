"""The commands of `python -m dialer`, one file each, in the folder of what they act on."""
