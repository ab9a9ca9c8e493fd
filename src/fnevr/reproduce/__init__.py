"""FNeVR's paper repeated: all of its systems, on its data, in its tables."""
