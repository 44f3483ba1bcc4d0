"""Measures: rollouts, scores, reports."""
