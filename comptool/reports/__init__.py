"""Evaluation, scores and plots."""
