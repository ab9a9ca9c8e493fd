"""Training data: clips decoded once to a cache, frame pairs, augmentation."""
