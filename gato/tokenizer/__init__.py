"""Numbers, text and pictures to tokens and back."""
