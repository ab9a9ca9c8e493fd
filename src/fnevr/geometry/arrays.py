"""Arrays of NumPy or of PyTorch: one implementation for both, by the Python array API standard.

Functions on such arrays take their operations from `namespace`, written ``xp``; PyTorch need not be
installed. What they give is of the library, device and floating-point type of what they got, and on
tensors it is differentiable.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any  # of either library; jaxtyping checks its type and shape all the same


def namespace(array: Array) -> Any:
    """Return the functions of an array's library, under their names in the standard.

    NumPy follows the standard itself from 2.1 on; array-api-compat makes PyTorch follow it.
    """
    if isinstance(array, np.ndarray | np.generic):
        return np
    from array_api_compat import torch as torch_namespace  # noqa: PLC0415 - a tensor has come

    return torch_namespace


def as_like(values: Any, like: Array) -> Array:
    """Return numbers or an array as an array of the library and the device of `like`.

    Floating-point numbers take the type of `like` too; arrays of integers keep theirs. An array
    that fits already is not copied. To turn tensors into arrays of NumPy, use `as_numpy`.
    """
    is_integer = hasattr(values, "dtype") and namespace(values).isdtype(values.dtype, "integral")
    dtype = None if is_integer else like.dtype
    return namespace(like).asarray(values, dtype=dtype, device=like.device)


def identity(size: int, like: Array) -> Array:
    """Return the identity matrix, made so that PyTorch can export it, which `eye` cannot."""
    xp = namespace(like)
    index = xp.arange(size, device=like.device)
    return xp.astype(index[:, None] == index, like.dtype)


def as_numpy(array: Array) -> np.ndarray:
    """Return an array of NumPy, outside of PyTorch's graph and on the host."""
    return np.asarray(array if isinstance(array, np.ndarray) else array.detach().cpu())


def rising(values: Array, start: float, end: float) -> Array:
    """Return 0 up to the start, 1 from the end on, and a smooth step in between."""
    share = np.clip((values - start) / (end - start), 0, 1)
    return share * share * (3 - 2 * share)


def smooth_step(share: np.ndarray) -> np.ndarray:
    """Return a share that sets out and arrives gently: 3 s^2 - 2 s^3, with s clipped to [0, 1]."""
    return rising(share, 0.0, 1.0)
