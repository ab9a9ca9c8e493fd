"""What a table of scores can say: confidence intervals and paired comparisons over clips.

Shapes: N clips.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

NUM_RESAMPLES = 10_000
CONFIDENCE = 0.95


def bootstrap_interval(values: Float[np.ndarray, " N"], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean over clips drawn with replacement.

    NaN values are left out; without any value, or with one, the interval is NaN (Efron, 1979).
    """
    numbers = values[np.isfinite(values)]
    if len(numbers) < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    means = numbers[rng.integers(0, len(numbers), (NUM_RESAMPLES, len(numbers)))].mean(axis=1)
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(means, [tail, 100 - tail])
    return float(low), float(high)


def paired_p_value(
    values: Float[np.ndarray, " N"], others: Float[np.ndarray, " N"], seed: int = 0
) -> float:
    """Return the p value of the mean difference: how likely one so large is by chance.

    By chance means that the difference of each clip might as well have the other sign. This is a
    two-sided permutation test (Fisher, 1935) by flips of the signs: all of them for up to 12 clips,
    10,000 drawn ones for more. NaN differences are left out; NaN without two.
    """
    difference = values - others
    difference = difference[np.isfinite(difference)]
    count = len(difference)
    if count < 2:
        return float("nan")
    if count <= 12:
        signs = 1 - 2 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
    else:
        flips = np.random.default_rng(seed).choice((-1, 1), (NUM_RESAMPLES - 1, count))
        signs = np.concatenate([np.ones((1, count), int), flips])
    means = np.abs((signs * difference).mean(axis=1))
    # Rounding must not hide flips that give the very same mean.
    return float((means >= abs(difference.mean()) * (1 - 1e-9)).mean())
