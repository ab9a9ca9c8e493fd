"""Find the face to animate in a still picture, or say why there is none.

Shapes: H and W of the picture.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from fnevr.errors import FaceError, counted
from fnevr.faces.detector import Face, FaceDetector, contained
from fnevr.faces.landmarks import FaceMesh, Landmarks, landmarks_box

MIN_FACE_PX = 40  # the mesh's longer side; below, the eyes are a few pixels wide
MAX_CANDIDATES = 32
LARGE = 1 / 8  # of the picture's longer side: a face that is found without searching its parts


def find_faces(
    rgb: UInt8[np.ndarray, "H W 3"],
    detector: FaceDetector | None = None,
    mesh: FaceMesh | None = None,
    thorough: bool = True,
    largest_only: bool = False,
) -> list[Landmarks]:
    """Give the landmarks of every face, largest first; what the mesh does not confirm is left out.

    Args:
        rgb: the picture.
        detector: to share one that is loaded already.
        mesh: the same for the landmark model.
        thorough: also search for faces that are small or fill the picture.
        largest_only: others than the largest face may be missing; this is quicker.
    """
    detector, mesh = detector or FaceDetector(), mesh or FaceMesh()
    if thorough and largest_only:
        faces = _confirmed(rgb, detector.detect(rgb, parts=False), mesh)
        if faces and face_size(faces[0]) > LARGE * max(rgb.shape[:2]):
            return faces
    return _confirmed(rgb, detector.detect(rgb, thorough), mesh)


def _confirmed(
    rgb: UInt8[np.ndarray, "H W 3"], detections: list[Face], mesh: FaceMesh
) -> list[Landmarks]:
    """Give the landmarks where the mesh sees a face too, each face once, largest first."""
    meshes: list[Landmarks] = []
    for face in detections[:MAX_CANDIDATES]:
        candidate = mesh.mesh(rgb, face.region())
        box = landmarks_box(candidate.landmarks)
        # Two detections may lead to the same face.
        is_new = all(contained(box, landmarks_box(other)) < 0.5 for other in meshes)
        if candidate.is_face and is_new:
            meshes.append(candidate.landmarks)
    return sorted(meshes, key=face_size, reverse=True)


def find_face(
    rgb: UInt8[np.ndarray, "H W 3"],
    index: int | None = None,
    detector: FaceDetector | None = None,
    mesh: FaceMesh | None = None,
) -> Landmarks:
    """Give the landmarks of one face in pixels of the picture.

    Args:
        rgb: the picture.
        index: which face, the largest being 0; None means the largest.
        detector: to share one that is loaded already.
        mesh: the same for the landmark model.

    Raises:
        FaceError: if there is no face, no such face, or the face is too small to animate.
    """
    height, width = rgb.shape[:2]
    number = 0 if index is None else index
    faces = find_faces(rgb, detector, mesh, largest_only=number == 0)
    if not faces:
        raise FaceError(
            f"no face found in the picture ({width}x{height}); use one that shows a face from "
            "the front, upright and well lit; to animate one that is cropped to a face already, "
            "use `crop=False`"
        )
    if not 0 <= number < len(faces):
        sizes = ", ".join(f"{i}: {face_size(face):.0f} px" for i, face in enumerate(faces))
        raise FaceError(
            f"there is no face {number}: the picture holds {counted(len(faces), 'face')} ({sizes}, "
            "largest first); count from 0",
            argument="face",
        )
    size = face_size(faces[number])
    if size < MIN_FACE_PX:
        raise FaceError(
            f"the face is only {size:.0f} px high in a picture of {width}x{height}; at least "
            f"{MIN_FACE_PX} px are needed: use a larger version of the picture"
        )
    return faces[number]


def face_size(landmarks: Landmarks) -> float:
    """Give the longer side of the box around the mesh."""
    left, top, right, bottom = landmarks_box(landmarks)
    return max(right - left, bottom - top)
