"""What a person asks about a run, a lead or the day of a business: why it waits, when it will end, how it went."""
