"""Pure functions of the settings, the state and the time: the tables that SQL is tested against."""
