"""Pictures, video and sound in and out, one file at a time and without holding a whole video."""
