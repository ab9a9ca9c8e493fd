"""CSIM: cosine similarity of the identity embeddings of two faces.

`csim` is on ArcFace's embedding, `csim-dlib` the same cosine on dlib's, which comes with a package.

Shapes: N numbers of an embedding.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def cosine_similarity(embedding: Float[np.ndarray, " N"], target: Float[np.ndarray, " N"]) -> float:
    """Return the cosine: 1 for the same direction, larger is more alike."""
    norms = np.linalg.norm(embedding) * np.linalg.norm(target)
    return float(embedding @ target / max(norms, 1e-12))
