"""The switch that stops all dialling."""
