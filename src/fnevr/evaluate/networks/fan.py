"""The 68 points that the field's AKD compares: face-alignment's 2D FAN on boxes of its S3FD.

Bulat and Tzimiropoulos, "How far are we from solving the 2D & 3D Face Alignment problem?", ICCV
2017. The package `face-alignment` runs them; its weights are not in this package.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec

import numpy as np
from jaxtyping import Float, UInt8

from fnevr.errors import FnevrError
from fnevr.models.perceptual.files import check_file, hub_file

FAN_NAME = "2DFAN4-11f355bf06.pth.tar"
S3FD_NAME = "s3fd-619a316812.pth"
WEIGHTS_URL = "https://www.adrianbulat.com/downloads/python-fan"
SHA256 = {
    FAN_NAME: "11f355bf0693120222f5955ce3f9dc8fb5763ebb30a47d7906e509490d32e4aa",
    S3FD_NAME: "619a31681264d3f7f7fc7a16a42cbbe8b23f31a256f75a366e5a1bcd59b33543",
}
STAND_IN = "`akd-mediapipe` needs no download"


class FacePoints:
    """Finds the 68 points of the first face, as FOMM's evaluation asks for them."""

    def __init__(self, sha256: dict[str, str] | None = None) -> None:
        """Load both networks from torch.hub's cache, where face-alignment keeps them.

        Args:
            sha256: what the files must be, by name; None for the published ones.

        Raises:
            FnevrError: if face-alignment is not installed.
            CheckpointError: if a file is missing or another one.
        """
        if find_spec("face_alignment") is None:
            raise FnevrError(f"AKD needs 'pip install face-alignment'; {STAND_IN}")
        # Checked here, because what is missing would be downloaded and the rest not looked at.
        for name, digest in (sha256 or SHA256).items():
            remedy = f"AKD needs it: fetch {WEIGHTS_URL}/{name} to that place; {STAND_IN}"
            check_file(hub_file(name), digest, remedy)
        import face_alignment  # noqa: PLC0415 - slow, and not there on every machine

        self.detector = face_alignment.FaceAlignment(
            face_alignment.LandmarksType.TWO_D, device="cpu", flip_input=False, compile=False
        )

    def find(self, rgb: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "68 2"] | None:
        """Return the points in pixels, or None where no face is found."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of every frame without a face
            faces = self.detector.get_landmarks_from_image(rgb)
        return None if faces is None else np.asarray(faces[0], dtype=np.float64)
