"""Configurations of the models, their folders, and the presets."""
