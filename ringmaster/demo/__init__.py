"""`python -m dialer demo`: two businesses that dial through the simulator, watched to the end and accounted for."""
