"""From probabilities to answers."""
