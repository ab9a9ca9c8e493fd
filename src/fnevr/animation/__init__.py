"""From a source and a driver to the frames of the animated portrait."""
