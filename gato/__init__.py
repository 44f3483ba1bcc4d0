"""Gato: one Transformer, trained on control, text and pictures, prompted by demonstration."""

__version__ = "0.1.0"
