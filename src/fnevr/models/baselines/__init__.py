"""Other systems' networks, rebuilt on the same parts, to compare with."""
