"""Learns from an iterator of batches; knows no dataset."""
