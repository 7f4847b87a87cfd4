"""Metrics, each once; bootstrap intervals; the parts of a leaderboard."""
