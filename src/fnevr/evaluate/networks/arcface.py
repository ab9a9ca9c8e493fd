"""ArcFace: embeddings of faces that tell people apart, for `csim`.

Deng et al., CVPR 2019; insightface's `w600k_r50.onnx`, not in this package: its licence is for
research.

Shapes: H and W pixels, N numbers of an embedding.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from jaxtyping import Float, UInt8

from fnevr.faces.region import Region, aligned_region, cut_out
from fnevr.media.files import home
from fnevr.models.perceptual.files import check_file

ARCFACE_NAME = "w600k_r50.onnx"
ARCFACE_SHA256 = "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43"
ARCFACE_ARCHIVE = "https://github.com/deepinsight/insightface/releases/download/v0.7/buffalo_l.zip"
CHIP_SIDE = 112

# Where ArcFace wants the centres of the eyes, the tip of the nose and the corners of the mouth, in
# pixels of its 112 x 112 input; and the points of MediaPipe's mesh whose means those are.
TEMPLATE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
MESH_POINTS = ((33, 133), (362, 263), (1,), (61,), (291,))


class ArcFaceEmbedder:
    """Embed faces of pictures by ArcFace."""

    def __init__(self, path: Path | None = None, *, sha256: str = ARCFACE_SHA256) -> None:
        """Load the network.

        Args:
            path: the ONNX file; None looks where insightface keeps it.
            sha256: what the file's SHA-256 must be.

        Raises:
            CheckpointError: if the file is missing, another one, or damaged.
        """
        usual_path = home() / ".insightface" / "models" / "buffalo_l" / ARCFACE_NAME
        path = usual_path if path is None else path
        remedy = (
            f"CSIM needs ArcFace: take {ARCFACE_NAME} out of {ARCFACE_ARCHIVE} to '{usual_path}' "
            "or name the file by `arcface=FILE`; `csim-dlib` needs no download"
        )
        check_file(path, sha256, remedy)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )

    def embed(
        self, rgb: UInt8[np.ndarray, "H W 3"], landmarks: Float[np.ndarray, "478 3"]
    ) -> Float[np.ndarray, " N"]:
        """Embed the face with these landmarks, in pixels of the picture."""
        chip = cut_out(rgb, arcface_region(landmarks), CHIP_SIDE, border="edge")
        x = (chip.astype(np.float32).transpose(2, 0, 1)[None] - 127.5) / 127.5
        (name,) = (entry.name for entry in self.session.get_inputs())
        return np.asarray(self.session.run(None, {name: x})[0][0], dtype=np.float64)


def arcface_region(landmarks: Float[np.ndarray, "478 D"]) -> Region:
    """Return the square that the similarity best matching ArcFace's template cuts out."""
    points = np.array([landmarks[list(mesh), :2].mean(axis=0) for mesh in MESH_POINTS])
    return aligned_region(TEMPLATE / CHIP_SIDE, points)
