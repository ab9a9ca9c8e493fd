"""Training of all models: recipes, objectives, the resumable loop; and of the pose editor."""
