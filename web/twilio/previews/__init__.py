"""What a lead would hear: as TwiML, or by a call to a person's own phone."""
