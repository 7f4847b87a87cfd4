"""Recalibration of probabilities: one file per method."""
