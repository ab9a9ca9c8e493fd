"""Pure functions on coordinates: grids, keypoints, warps, rotations. No state, no parameters."""
