"""Searched ensembles: which weights are best on out-of-fold rows, and what that is worth."""
