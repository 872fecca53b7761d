"""The command line: accounts, `up` and `demo`. It starts and asks everything, so it may import everything; nothing imports it.

Beside the road of a call: what a person at a terminal has in hand.
"""
