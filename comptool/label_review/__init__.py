"""Review of doubtful labels, and the corrections that come of it."""
