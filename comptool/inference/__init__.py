"""From trained runs to probabilities of a test set, plain or over views, and to features."""
