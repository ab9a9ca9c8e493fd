"""Views of a still: the portrait as a model draws it with other expressions and poses.

Each view takes its motion from a clip that chance picks. The clip's frame that looks most like the
photograph is the reference of relative motion; of a few frames that do not lead too far from there,
the driver is the one whose view differs most from the photograph and the views before. Every second
view is turned further, where the model has a pose editor.

Shapes: S the side of the model's image, V views, F frames with a face, N landmarks, C candidates; 6
measures of a face, 4 of where it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

from fnevr.animation.head_turn import HeadTurn
from fnevr.animation.motions import driving_keypoints
from fnevr.animation.reference_frame import face_positions, num_face_keypoints
from fnevr.animation.source import Framing, Source, draw, prepare
from fnevr.data.clips import Clip, to_signed
from fnevr.faces.expression import CHIN, FOREHEAD, expressions, head_turns
from fnevr.faces.landmarks import NUM_MESH, FaceMesh, Landmarks, landmarks_region
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.transfer import movement_scale, transfer_relative
from fnevr.runtime.engine import Engine

NUM_CANDIDATES = 12
TURN_YAW_DEG, TURN_PITCH_DEG = 20.0, 12.0
# A marked change of each measure: gap and width of the mouth, gaps of the eyes, turns of the head.
MARKED = np.array([0.06, 0.06, 0.025, 0.025, 0.06, 0.06], np.float32)
NUM_LENGTHS = 4  # of these, the first ones: never less than nothing
# How far a driver may be from the reference, in face heights: turns (0.06 is 15 degrees), place.
REACH = np.array([0.06, 0.06, 0.12, 0.12], np.float32)
MOST_ASTRAY = 0.03
NO_FACE, ASTRAY = "views without a face", "views whose face is not where it should be"


@dataclass(frozen=True)
class Motion:
    """A clip that may drive a still.

    Attributes:
        clip: it has a frame with a face.
        tracked: its frames with a face.
        states: what the face does in them, see `face_states`.
        places: how the head is turned and where its centre is, in face heights.
    """

    clip: Clip
    tracked: Int[np.ndarray, " F"]
    states: Float[np.ndarray, "F 6"]
    places: Float[np.ndarray, "F 4"]

    @classmethod
    def of_clip(cls, clip: Clip) -> Motion:
        """Measure the faces of a clip."""
        landmarks = clip.landmarks[clip.tracked]
        centres = landmarks[:, :NUM_MESH].mean(axis=1) / face_heights(landmarks)[:, None]
        places = np.concatenate((head_turns(landmarks), centres), axis=-1)
        return cls(clip, clip.tracked, face_states(landmarks), places)


@dataclass(frozen=True)
class Views:
    """What was drawn of a photograph.

    Attributes:
        pictures: the views.
        landmarks: of each, in [-1, 1].
        dropped: why others were left out, and how often.
    """

    pictures: list[UInt8[np.ndarray, "S S 3"]]
    landmarks: list[Float[np.ndarray, "N 2"]]
    dropped: Counter[str]


def draw_views(
    engine: Engine,
    photograph: UInt8[np.ndarray, "S S 3"],
    face: Landmarks,
    motions: Sequence[Motion],
    count: int,
    rng: np.random.Generator,
    mesh: FaceMesh,
) -> Views:
    """Draw a photograph with other expressions and poses.

    A view is left out where the face mesh sees no face in it, or where the model finds the face's
    keypoints in another place than they were put: there the picture is torn.

    Args:
        engine: draws them.
        photograph: of the side of the model's images.
        face: its landmarks, in pixels.
        motions: what may drive it.
        count: how many views to draw; at most as many remain.
        rng: decides over motions and turns.
        mesh: finds the landmarks of the views.

    Raises:
        FaceError: if the keypoints of the photograph lie on one line.
    """
    (source,) = prepare(engine, photograph, Framing(crop=False, paste_back=False)).sources
    side = len(photograph)
    landmarks = to_signed(face, side, side)
    height = float(face_heights(landmarks[None])[0])
    states = face_states(landmarks[None])
    views = Views([], [], Counter())
    for index in range(count):
        motion = motions[int(rng.integers(len(motions)))]
        reference, driver, state = choose_driver(motion, states, rng)
        states = np.concatenate((states, state[None]))
        moved = _moved(engine, source, motion, reference, driver)
        if index % 2 and engine.turn is not None:
            yaw_deg, pitch_deg = rng.uniform(-1, 1, 2) * (TURN_YAW_DEG, TURN_PITCH_DEG)
            moved = HeadTurn(float(yaw_deg), float(pitch_deg)).apply(engine.turn, moved)
        picture = draw(engine, source, moved)[0]
        found = mesh.mesh(picture, landmarks_region(face))
        if not found.is_face:
            views.dropped[NO_FACE] += 1
        elif _astray(engine, source, picture, moved) > MOST_ASTRAY * height:
            views.dropped[ASTRAY] += 1
        else:
            views.pictures.append(picture)
            views.landmarks.append(to_signed(found.landmarks, side, side))
    return views


def face_states(landmarks: Float[np.ndarray, "F N 2"]) -> Float[np.ndarray, "F 6"]:
    """Measure faces: mouth, eyes and turns of the head, each in units of a marked change."""
    return np.concatenate((expressions(landmarks), head_turns(landmarks)), axis=-1) / MARKED


def face_heights(landmarks: Float[np.ndarray, "F N 2"]) -> Float[np.ndarray, " F"]:
    """Return how far it is from the forehead to the chin."""
    lengths = np.linalg.norm(landmarks[:, FOREHEAD] - landmarks[:, CHIN], axis=-1)
    return np.maximum(lengths, 1e-6)


def choose_driver(
    motion: Motion, states: Float[np.ndarray, "V 6"], rng: np.random.Generator
) -> tuple[int, int, Float[np.ndarray, " 6"]]:
    """Choose the reference frame and the driver of a view.

    Args:
        motion: the clip.
        states: what the face does in the photograph, which comes first, and in the views so far.
        rng: draws the candidates.

    Returns:
        The two frames, as indices into the tracked ones, and what the face will do in the view.
    """
    reference = int(np.square(motion.states - states[0]).sum(axis=-1).argmin())
    is_near = (np.abs(motion.places - motion.places[reference]) <= REACH).all(axis=-1)
    near = np.flatnonzero(is_near)
    candidates = rng.choice(near, min(NUM_CANDIDATES, len(near)), replace=False)
    expected = states[0] + motion.states[candidates] - motion.states[reference]
    expected[:, :NUM_LENGTHS] = expected[:, :NUM_LENGTHS].clip(min=0)
    distances = np.square(expected[:, None] - states[None]).sum(axis=-1).min(axis=-1)  # C
    best = int(distances.argmax())
    return reference, int(candidates[best]), expected[best]


def _moved(
    engine: Engine, source: Source, motion: Motion, reference: int, driver: int
) -> Keypoints:
    """Move the source's keypoints as an animation does, by one frame of a clip."""
    at_reference, at_driver = (
        driving_keypoints(engine, [motion.clip.frames[int(motion.tracked[index])]], source.encoded)
        for index in (reference, driver)
    )
    num_face = num_face_keypoints(engine)
    scale = movement_scale(
        face_positions(source.keypoints, num_face), face_positions(at_reference, num_face)
    )
    return transfer_relative(source.keypoints, at_driver, at_reference, scale)


def _astray(
    engine: Engine, source: Source, picture: UInt8[np.ndarray, "S S 3"], moved: Keypoints
) -> float:
    """Return how far the face's keypoints are from where they were put: root mean square."""
    num_face = num_face_keypoints(engine)
    found = face_positions(driving_keypoints(engine, [picture], source.encoded), num_face)
    offsets = found - face_positions(moved, num_face)
    return float(np.sqrt(np.square(offsets).sum(axis=-1).mean()))
