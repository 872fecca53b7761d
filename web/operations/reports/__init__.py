"""Reports on a run, a lead or the day of a business: why it waits, when it will end, how it went."""
