"""Training: settings, data, loop and checkpoints."""
