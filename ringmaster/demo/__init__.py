"""`python -m dialer demo`: three businesses that dial through the simulator, watched to the end and accounted for."""
