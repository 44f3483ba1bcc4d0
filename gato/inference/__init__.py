"""Acts and speaks."""
