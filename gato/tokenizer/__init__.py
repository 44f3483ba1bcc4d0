"""Numbers, text and pictures to sequence elements and back."""
