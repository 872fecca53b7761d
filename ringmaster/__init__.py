"""The front door: the command line. It may import everything; nothing imports it.

Beside the road of a call: what a person at a terminal has in hand.
"""
