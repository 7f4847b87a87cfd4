"""Test-time augmentation."""
