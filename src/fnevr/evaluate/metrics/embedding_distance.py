"""Euclidean distance of identity embeddings, the column `aed-dlib`.

It has the role of AED in FOMM's evaluation, on aligned faces and another network.

Shapes: N numbers of an embedding.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def embedding_distance(
    embedding: Float[np.ndarray, " N"], target: Float[np.ndarray, " N"]
) -> float:
    """Return the Euclidean distance; dlib calls 0.6 and less the same person."""
    return float(np.linalg.norm(embedding - target))
