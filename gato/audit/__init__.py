"""Measures what sources hold, and says what to do about it, before anything is trained."""
