"""Measuring a model: metrics and protocols."""
