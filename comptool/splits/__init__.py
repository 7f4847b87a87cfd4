"""Folds: stratified hold-outs and K folds, by group where there are groups."""
