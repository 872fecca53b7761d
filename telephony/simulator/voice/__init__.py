"""What the person at the other end hears and does: TwiML, keys, called legs, machine detection, recordings."""
