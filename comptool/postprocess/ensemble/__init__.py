"""Ensembles: combination, weight search and nested cross-validation."""
