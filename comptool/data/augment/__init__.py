"""Augmentation: named policies on batches, and policy files through albumentations."""
