"""Operations on many leads of a run."""
