"""Find the faces to animate in a still picture, or say why there are none.

Shapes: H and W of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from fnevr.errors import FaceError, counted
from fnevr.faces.detector import Face, FaceDetector, contained
from fnevr.faces.landmarks import FaceMesh, Landmarks, landmarks_box

MIN_FACE_PX = 40  # the mesh's longer side; below, the eyes are a few pixels wide
MAX_CANDIDATES = 32
LARGE = 1 / 8  # of the picture's longer side: a face that is found without searching its parts

FaceChoice = int | Sequence[int] | Literal["all"] | None
"""Which faces of a picture: numbers, the largest being 0, or "all"; None means the largest."""


@dataclass(frozen=True)
class ChosenFaces:
    """The faces of a picture.

    Attributes:
        faces: those that were chosen, in the order of the choice.
        others: those that were not, largest first; small ones may be missing.
    """

    faces: list[Landmarks]
    others: list[Landmarks]


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
        # Two detections may lead to the same face.
        if candidate.is_face and is_free(candidate.landmarks, meshes):
            meshes.append(candidate.landmarks)
    return sorted(meshes, key=face_size, reverse=True)


def is_free(face: Landmarks, taken: Sequence[Landmarks]) -> bool:
    """Return whether a face is none of those that are taken."""
    box = landmarks_box(face)
    return all(contained(box, landmarks_box(other)) < 0.5 for other in taken)


def find_face(
    rgb: UInt8[np.ndarray, "H W 3"],
    index: int | None = None,
    detector: FaceDetector | None = None,
    mesh: FaceMesh | None = None,
) -> Landmarks:
    """Give the landmarks of one face in pixels of the picture; see `choose_faces`."""
    return choose_faces(rgb, index, detector, mesh).faces[0]


def choose_faces(
    rgb: UInt8[np.ndarray, "H W 3"],
    choice: FaceChoice = None,
    detector: FaceDetector | None = None,
    mesh: FaceMesh | None = None,
) -> ChosenFaces:
    """Find the faces of a picture that are to be animated, and those that are not.

    Args:
        rgb: the picture.
        choice: "all" leaves out those that are too small to animate.
        detector: to share one that is loaded already.
        mesh: the same for the landmark model.

    Returns:
        Landmarks in pixels of the picture.

    Raises:
        FaceError: if there is no face, no such face, or a face is too small to animate.
    """
    height, width = rgb.shape[:2]
    numbers = () if choice == "all" else face_numbers(choice)
    found = find_faces(rgb, detector, mesh, largest_only=numbers == (0,))
    if not found:
        raise FaceError(
            f"no face found in the picture ({width}x{height}); use one that shows a face from "
            "the front, upright and well lit; to animate one that is cropped to a face already, "
            "use `crop=False`"
        )
    if choice == "all":
        large = [i for i, face in enumerate(found) if face_size(face) >= MIN_FACE_PX]
        numbers = tuple(large or [0])
    for number in numbers:
        if number >= len(found):
            sizes = ", ".join(f"{i}: {face_size(face):.0f} px" for i, face in enumerate(found))
            raise FaceError(
                f"there is no face {number}: the picture holds {counted(len(found), 'face')} "
                f"({sizes}, largest first); count from 0",
                argument="face",
            )
        size = face_size(found[number])
        if size < MIN_FACE_PX:
            raise FaceError(
                f"the face is only {size:.0f} px high in a picture of {width}x{height}; at least "
                f"{MIN_FACE_PX} px are needed: use a larger version of the picture"
            )
    others = [face for number, face in enumerate(found) if number not in numbers]
    return ChosenFaces([found[number] for number in numbers], others)


def face_numbers(choice: int | Sequence[int] | None, argument: str = "face") -> tuple[int, ...]:
    """Return which faces are meant, by their numbers.

    Args:
        choice: one number, several, or None for the largest face.
        argument: what the choice is called in messages.

    Raises:
        FaceError: if there is none, one twice, or a negative one.
    """
    if choice is None:
        return (0,)
    numbers = (choice,) if isinstance(choice, int) else tuple(choice)
    if not numbers or len(set(numbers)) < len(numbers) or min(numbers) < 0:
        raise FaceError(
            f"there are no such faces: {', '.join(map(str, numbers)) or 'none'}; wanted numbers "
            "that differ, counted from 0, the largest face's",
            argument=argument,
        )
    return numbers


def face_size(landmarks: Landmarks) -> float:
    """Give the longer side of the box around the mesh."""
    left, top, right, bottom = landmarks_box(landmarks)
    return max(right - left, bottom - top)
