"""Find faces and their landmarks with the models in the package; crop around them, paste back."""
