"""How models run: folded for use, and on which engine."""
