"""How far arrays are from the golden ones. The figures are the point, so every run shows them."""

from __future__ import annotations

import numpy as np


def differences(found, golden, least_range=1.0):
    """Compare arrays with the golden ones of their names.

    Returns:
        By name, the largest difference over the golden array's range, which counts as
        `least_range` at least; and the mean difference.
    """
    largest, mean = {}, {}
    for name, values in found.items():
        array, wanted = np.asarray(values), golden[name]
        assert array.shape == wanted.shape, name
        difference = np.abs(array - wanted)
        span = max(float(np.ptp(wanted)), least_range) or 1.0
        largest[name] = float(difference.max()) / span
        mean[name] = float(difference.mean())
    return largest, mean


def show(capsys, system, largest):
    """Print the largest difference of each array over its range, whatever pytest captures."""
    report = "\n".join(f"  {name:28} {error:.1e}" for name, error in largest.items())
    worst = max(largest.values())
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{system}: largest difference over the array's range, {worst:.1e} at most\n{report}"
        )
