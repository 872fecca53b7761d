"""What a person asks: why a run waits, how its leads ended, why a lead is not called, how the day went."""
