"""Backbones: timm's, and those that timm has not."""
