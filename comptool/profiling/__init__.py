"""Where the time of a command goes, what its ceiling is, and what to change."""
