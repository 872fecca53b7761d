"""The page of one lead in a run: its calls and what happened in each."""
