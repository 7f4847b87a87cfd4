"""Practice competitions: generated downloads with hidden answers."""
