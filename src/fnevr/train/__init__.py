"""Training: of `lite`, of the paper's networks (`base`, FOMM), and of pose editors.

A recipe says what a run does, an objective what is minimized, the loop takes the steps and can be
taken up again. Importing this package imports nothing.
"""
