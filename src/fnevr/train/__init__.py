"""Training of `lite`: recipe, step, resumable loop."""
