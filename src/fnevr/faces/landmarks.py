"""Dense landmarks of a face: MediaPipe's attention mesh, 478 points.

Points 0 to 467 are the face mesh, 468 to 472 the iris on the picture's left (centre, then its
rim), 473 to 477 the one on its right. Depth is in the same unit as x and y, about zero at the
head's centre and negative towards the camera.

Grishchenko et al., Attention Mesh: High-fidelity Face Mesh Prediction in Real-time, 2020.

Shapes: H and W of the picture; 478 landmarks; x, y and z.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from fnevr.faces.detector import Box, Face
from fnevr.faces.region import Region, cut_out
from fnevr.faces.session import FaceModel

INPUT_SIDE = 192
NUM_LANDMARKS, NUM_MESH = 478, 468
OUTER_EYE_CORNERS = (33, 263)  # on the picture's left and right
MIN_PRESENCE = 0.5

Landmarks = Float[np.ndarray, "478 3"]


@dataclass(frozen=True)
class Mesh:
    """Landmarks in pixels of the picture, and how sure the model is that a face is there."""

    landmarks: Landmarks
    presence: float

    @property
    def is_face(self) -> bool:
        """Whether the model saw a face."""
        return self.presence >= MIN_PRESENCE


class FaceMesh:
    """Find the landmarks of one face at a time.

    Args:
        num_threads: threads that one call may use.
        is_for_videos: see `FaceModel`.
    """

    def __init__(self, num_threads: int = 2, *, is_for_videos: bool = False) -> None:
        name = "face_landmark_with_attention"
        self.model = FaceModel(name, num_threads, is_for_videos=is_for_videos)

    def landmarks(self, rgb: UInt8[np.ndarray, "H W 3"], face: Face) -> Landmarks:
        """Give a detected face's landmarks in pixels of the picture."""
        return self.mesh(rgb, face.region()).landmarks

    def mesh(self, rgb: UInt8[np.ndarray, "H W 3"], region: Region, num_passes: int = 2) -> Mesh:
        """Find landmarks in a region of the picture.

        Args:
            rgb: the picture.
            region: where the face is; larger than the face by half.
            num_passes: with 2, look again where the first landmarks say the face is. A detector's
                box is rough; in a video the last frame's landmarks already are such a region.
        """
        image = cut_out(rgb, region, INPUT_SIDE, border="edge")
        points, presence = self.model(image.astype(np.float32) / 255.0)
        mesh = Mesh(region.to_picture(points, INPUT_SIDE), float(presence[0]))
        if num_passes > 1 and mesh.is_face:
            again = self.mesh(rgb, landmarks_region(mesh.landmarks), num_passes - 1)
            return again if again.is_face else mesh
        return mesh


def landmarks_box(landmarks: Landmarks) -> Box:
    """Give the box (left, top, right, bottom) around the mesh, in the landmarks' unit."""
    low, high = landmarks[:NUM_MESH, :2].min(axis=0), landmarks[:NUM_MESH, :2].max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def landmarks_region(landmarks: Landmarks) -> Region:
    """Give the region to search in the next frame: around the landmarks, eyes level."""
    left, top, right, bottom = landmarks_box(landmarks)
    start, end = (landmarks[index, :2] for index in OUTER_EYE_CORNERS)
    dx, dy = end - start
    size = 1.5 * max(right - left, bottom - top)
    return Region((left + right) / 2, (top + bottom) / 2, size, float(np.arctan2(dy, dx)))
