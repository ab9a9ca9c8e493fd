"""Find faces and their dense landmarks, offline, with the models that ship in the package."""
