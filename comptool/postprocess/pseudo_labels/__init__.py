"""Pseudo-labels: rules, rounds and expected precision."""
