"""The reliability campaign: kills, mutated inputs, load, and commands at the same time."""
