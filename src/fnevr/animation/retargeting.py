"""Retargeting: the source's face takes on the driver's expression and turns as the driver's head.

What goes over is what the driver does (`face3d.performance`), not where its keypoints are. The
source's landmarks are posed and given the driver's expression in the head model; what the model
cannot explain of the source stays. The patches of the landmarks give the keypoints of the face,
those that lie beside it follow the head. A performance that is the source's own changes nothing.

Shapes: B frames of H1 and W1 pixels, K keypoints, F of the face, N = 478 landmarks, E coefficients
of expression.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock

import numpy as np
from jaxtyping import Float

from fnevr.animation.gaze import Irises
from fnevr.animation.head_turn import HeadTurn
from fnevr.animation.moving_head import MovingHead
from fnevr.animation.open_mouth import OpenMouth
from fnevr.animation.response import EYES, LIPS
from fnevr.animation.shut_mouth import ShutMouth
from fnevr.animation.source import Source, mirrored
from fnevr.face3d.face_fit import FaceFit, Similarity, slopes
from fnevr.face3d.head_surface import brought_into_view, looks_aside
from fnevr.face3d.performance import (
    NECK,
    SHUT_EYE,
    Performance,
    eye_openings,
    gaze,
    lip_gap,
    lips_apart,
)
from fnevr.faces.detector import FaceDetector
from fnevr.faces.find import find_face
from fnevr.faces.landmarks import FaceMesh
from fnevr.geometry.foreshortening import at_least_this_wide
from fnevr.geometry.inverse import invert
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.patches import FacePatches
from fnevr.geometry.rotations import rotation_matrices
from fnevr.media.guided_filter import enlarged
from fnevr.models.encoded_source import Detail, EncodedSource
from fnevr.models.retarget_map import RetargetMap
from fnevr.runtime.engine import Engine

CLOSED_SOURCE = 0.6  # of the usual opening: an eye less open than this may be wider than it shows
NODS = np.array([1.15, 1.0, 1.0])  # drawn heads nod by less than their keypoints
GAZE_GAIN = 2.0  # landmarks see half of how far irises move
PRESS, TOUCH = 0.02, 0.008  # lips that touch are pressed together; face heights
LEAST_SHUT = 0.02  # share of a mouth that is drawn shut: less is not seen
LEAST_SHARE = 0.05  # of a mirror image: less is not drawn
STEPS = 3  # of Newton's method, for lids and lips
SHUT_JAW = 0.0  # coefficient, in standard deviations, from which on teeth would meet


ReadTwin = Callable[[Float[np.ndarray, "1 4 H2 W2"]], Source]


def can_retarget(engine: Engine) -> bool:
    """Return whether a model's faces can be driven by a performance."""
    return engine.retarget_map is not None


@dataclass(frozen=True)
class Extras:
    """What keypoints do not move.

    Attributes:
        layers: the source at its own resolution, in arrays; None for models without.
        irises: moves them in the picture; None leaves them where they are.
        head: moves hair, ears and skull; None leaves them to the keypoints.
        mouth: draws what shows between parted lips; None leaves that to the networks.
        shut_mouth: draws lips on over teeth; None leaves them to the networks.
        twin: reads the mirror image of the source, given its foreground, which shows what a turn
            brings into view; None goes without.
    """

    layers: Detail | None = None
    irises: Irises | None = None
    head: MovingHead | None = None
    mouth: OpenMouth | None = None
    shut_mouth: ShutMouth | None = None
    twin: ReadTwin | None = None


class Retargeting:
    """Moves one source.

    Args:
        fit: of its face, in [-1, 1] of the model's view, with depth in the same unit.
        own: what the source itself does; in this performance it stays as it is.
        open_eyes: aspect ratios of its eyes when they are open as usual.
        keypoints: the detector's of the source, batch 1.
        retarget_map: how the model's keypoints go with a head.
        extras: what keypoints do not move.
    """

    def __init__(
        self,
        fit: FaceFit,
        own: Performance,
        open_eyes: Float[np.ndarray, " 2"],
        keypoints: Keypoints,
        retarget_map: RetargetMap,
        extras: Extras | None = None,
    ) -> None:
        self.fit, self.own, self.open_eyes = fit, own, open_eyes
        self.retarget_map, self.extras = retarget_map, extras or Extras()
        self.twin: tuple[EncodedSource, Retargeting] | None = None
        self.reading_twin = Lock()
        self.patches = FacePatches.packaged()
        # The neutral face, with what the model cannot explain.
        self.still = fit.at_rest - fit.basis.expression_basis @ own.expressions[0]
        self.openings = slopes(_openings, self.still, self.fit.basis.expression_basis)
        # The jaw is the first coefficient.
        self.to_openings = np.linalg.pinv(self.openings)
        self.to_openings_of_lips = np.linalg.pinv(self.openings[:, 1:])
        num_face = self.patches.num_keypoints
        self.face, self.beside = (
            Keypoints(keypoints.positions[:, part], keypoints.jacobians[:, part])
            for part in (slice(num_face), slice(num_face, None))
        )
        start = self._face(self.fit.similarity(self.fit.at_rest))
        self.start_local, self.seen_local = in_head(start, start), in_head(self.face, start)

    @classmethod
    def of_source(cls, engine: Engine, source: Source, *, has_twin: bool = True) -> Retargeting:
        """Take a prepared source.

        Args:
            engine: it can retarget (`can_retarget`).
            source: the picture.
            has_twin: take what a turn brings into view from the mirror image, where the face looks
                aside.

        Raises:
            FaceError: if no face is found in it.
        """
        assert engine.retarget_map is not None
        landmarks = source.landmarks
        if landmarks is None:
            landmarks = find_face(source.view, None, FaceDetector(1), FaceMesh(1))
        signed = landmarks / (len(source.view) / 2) - np.array([1.0, 1.0, 0.0])
        irises = None if source.detail is None else Irises(source.detail, signed)
        fit = FaceFit()
        fit.update(signed)
        usual = eye_openings(fit.neutral + fit.residual)
        shown = eye_openings(fit.at_rest)
        open_eyes = np.where(shown > CLOSED_SOURCE * usual, shown, usual)
        own = Performance(
            rotations=np.zeros((1, 3)),
            shifts=np.zeros((1, 2)),
            zooms=np.zeros((1, 1)),
            expressions=fit.expression[None],
            eyes=((shown - SHUT_EYE) / (open_eyes - SHUT_EYE))[None],
            lips=np.array([[lips_apart(fit.at_rest)]]),
            gazes=np.array([[gaze(fit.at_rest)[0], 0.0]]),
        )
        head = MovingHead.of_source(source, engine.config)
        has_twin = has_twin and head is not None and looks_aside(fit.similarity)
        twin = partial(mirrored, engine, source) if has_twin else None
        mouth = None
        if source.detail is not None:
            mouth = OpenMouth(source.view, landmarks, float(own.lips[0, 0]))
        shut_mouth = ShutMouth(source.view, landmarks, source.detail)
        extras = Extras(source.detail, irises, head, mouth, shut_mouth, twin)
        return cls(fit, own, open_eyes, source.keypoints, engine.retarget_map, extras)

    def draw(
        self,
        engine: Engine,
        source: EncodedSource,
        performance: Performance,
        turn: HeadTurn | None = None,
    ) -> Float[np.ndarray, "B 3 H1 W1"]:
        """Draw the source in each frame of the performance, as `Engine.draw` does.

        Args:
            engine: the one that read the source.
            source: the one that this was made of.
            performance: what it does.
            turn: of its head, further; None leaves it.
        """
        drawn = []
        for index in range(len(performance)):
            frame = performance[index : index + 1]
            place = self._placed(frame)
            place = place if turn is None or turn.is_none else turn.place(place)
            image_01 = self._drawn(engine, source, frame, place)
            drawn.append(self._with_far_side(engine, image_01, frame, place))
        return drawn[0] if len(drawn) == 1 else np.concatenate(drawn)

    def _drawn(
        self, engine: Engine, source: EncodedSource, frame: Performance, place: Similarity
    ) -> Float[np.ndarray, "1 3 H1 W1"]:
        detail, shape = self.extras.layers, self._shape(frame)
        if self.extras.head is not None and detail is not None:
            detail = self.extras.head.moved(self.fit.similarity, place, detail)
        moved = self._keypoints(place(shape), place)
        detail = self._with_mouth(detail, frame, shape, place, moved)
        shut, share = self.extras.shut_mouth, max(self._touching(frame), 0.0)
        if shut is not None and share > LEAST_SHUT:
            source = shut.of(engine.read_source, source, share)
        if detail is None:
            return engine.draw(source, moved)
        gaze_shift = GAZE_GAIN * (frame.gazes[0] - self.own.gazes[0])
        with ExitStack() as stack:
            foreground = detail.foreground
            if self.extras.irises is not None:
                foreground = stack.enter_context(self.extras.irises.moved(gaze_shift))
            if shut is not None:
                stack.enter_context(shut.shown(foreground, share))
            return engine.draw(source, moved, replace(detail, foreground=foreground))

    def _touching(self, frame: Performance) -> float:
        """Return how much more than the portrait's the lips touch, at most 1."""
        touching, at_rest = np.exp(-np.array([frame.lips[0, 0], self.own.lips[0, 0]]) / TOUCH)
        return float((touching - at_rest) * (1 - at_rest))

    def _with_mouth(
        self,
        detail: Detail | None,
        frame: Performance,
        shape: Float[np.ndarray, "N 3"],
        place: Similarity,
        moved: Keypoints,
    ) -> Detail | None:
        """Draw the inside of an open mouth."""
        if self.extras.mouth is None or detail is None:
            return detail
        wanted, asked = float(frame.lips[0, 0]), lips_apart(shape)
        if wanted <= self.own.lips[0, 0] or asked == 0:
            return detail
        num_face = self.patches.num_keypoints
        face = Keypoints(moved.positions[:, :num_face], moved.jacobians[:, :num_face])
        mouth = self.extras.mouth(place(shape)[:, :2], face, min(1.0, wanted / asked))
        return replace(detail, mouth=mouth)

    def _with_far_side(
        self,
        engine: Engine,
        image_01: Float[np.ndarray, "1 3 H1 W1"],
        frame: Performance,
        place: Similarity,
    ) -> Float[np.ndarray, "1 3 H1 W1"]:
        """Show the mirror image of the near side where a turn brings the far side into view."""
        head, read_twin = self.extras.head, self.extras.twin
        if head is None or read_twin is None:
            return image_01
        share = brought_into_view(self.fit.similarity, place, len(head.free), head.canvas)
        if share.max() < LEAST_SHARE:
            return image_01
        with self.reading_twin:
            if self.twin is None:
                self.twin = self._twin(engine, read_twin)
        encoded, retarget = self.twin
        twin_01 = retarget._drawn(engine, encoded, frame, place)
        return image_01 + enlarged(share, image_01.shape[-2:]) * (twin_01 - image_01)

    def _twin(self, engine: Engine, read_twin: ReadTwin) -> tuple[EncodedSource, Retargeting]:
        assert self.extras.irises is not None, "a head that moves as a whole has layers"
        with self.extras.irises.moved(np.zeros(2)) as foreground:
            source = read_twin(foreground)
        return source.encoded, Retargeting.of_source(engine, source, has_twin=False)

    def __call__(self, performance: Performance) -> Keypoints:
        """Return the source's keypoints in each frame of the performance."""
        frames = [performance[index : index + 1] for index in range(len(performance))]
        return Keypoints.concatenate([self._moved(frame, self._placed(frame)) for frame in frames])

    def _shape(self, frame: Performance) -> Float[np.ndarray, "N 3"]:
        return self.still + self.fit.basis.expression_basis @ self.expression(frame)

    def _moved(self, frame: Performance, place: Similarity) -> Keypoints:
        return self._keypoints(place(self._shape(frame)), place)

    def _keypoints(self, landmarks: Float[np.ndarray, "N 3"], place: Similarity) -> Keypoints:
        face = self._face(landmarks)
        change = self.retarget_map.as_detected(in_head(face, face) - self.start_local)
        face = in_picture(self.seen_local + change, face)
        jacobians = at_least_this_wide(face.jacobians, self.face.jacobians)
        beside = self._carried(place)
        return Keypoints(
            np.concatenate((face.positions, beside.positions), axis=1, dtype=np.float32),
            np.concatenate((jacobians, beside.jacobians), axis=1, dtype=np.float32),
        )

    def _face(self, landmarks: Float[np.ndarray, "N 3"]) -> Keypoints:
        return self.patches(landmarks[None, :, :2])

    def _carried(self, place: Similarity) -> Keypoints:
        """Return the keypoints beside the face when the head goes to a place."""
        ride, known = Ride.between(self.fit.similarity, place, self.beside), self.retarget_map
        turned = ride.turned + known.depths[:, None] * ride.deepened
        moved = known.shifts[:, None] * ride.shifted + known.turns[:, None] * turned
        bent = known.bends[:, None, None] * ride.bent
        return Keypoints(self.beside.positions + moved, self.beside.jacobians + bent)

    def _placed(self, frame: Performance) -> Similarity:
        """Return where the source's head goes: turned about the neck, which shifts with it."""
        own = self.fit.similarity
        rotation = rotation_matrices(NODS * frame.rotations[0]) @ own.rotation
        scale = own.scale * float(np.exp(frame.zooms[0, 0]))
        shift = own(NECK) - scale * rotation @ NECK
        shift[:2] += own.scale * frame.shifts[0]
        return Similarity(scale, rotation, shift)

    def expression(self, frame: Performance) -> Float[np.ndarray, " E"]:
        """Return the source's expression: the driver's, with lids and lips as far apart.

        Lids and lips are asked for what draws as much (`animation.response`). Of all expressions in
        which lids and lips are as far apart as wanted, the one nearest to the driver's is taken, in
        standard deviations: ``c + S^T (S S^T)^-1 (wanted - openings(c))`` with the slopes S of the
        openings. The jaw is not shut further than teeth allow, or than the driver's: from there on
        the lips alone move. Otherwise the chins of smiles would be pushed up.
        """
        basis, coefficients = self.fit.basis.expression_basis, frame.expressions[0]
        own, lips = self.own.lips[0], frame.lips[0]
        shares = EYES.ask(frame.eyes[0], self.own.eyes[0])
        eyes = SHUT_EYE + shares * (self.open_eyes - SHUT_EYE)
        gap = lip_gap(self.fit.at_rest) + LIPS.ask(lips, own) - own - PRESS * self._touching(frame)
        wanted = np.concatenate((eyes, gap))
        lowest_jaw = min(coefficients[0], SHUT_JAW)
        for _ in range(STEPS):
            missing = wanted - _openings(self.still + basis @ coefficients)
            step = self.to_openings @ missing
            jaw = lowest_jaw - coefficients[0]
            if step[0] < jaw:
                step = np.append(
                    jaw, self.to_openings_of_lips @ (missing - jaw * self.openings[:, 0])
                )
            coefficients = coefficients + step
        return coefficients


@dataclass(frozen=True)
class Ride:
    """Where a head's motion takes keypoints that lie beside the face, if they follow it.

    Attributes:
        shifted: displacement of the neck.
        turned: what the turn about the neck adds for each, were it as deep as the face's middle.
        deepened: what a depth of one face height adds to that.
        bent: what the turn adds to its Jacobian.
    """

    shifted: Float[np.ndarray, " 2"]
    turned: Float[np.ndarray, "K 2"]
    deepened: Float[np.ndarray, " 2"]
    bent: Float[np.ndarray, "K 2 2"]

    @classmethod
    def between(cls, start: Similarity, end: Similarity, keypoints: Keypoints) -> Ride:
        """Move from one place of a head to another.

        Args:
            start: where the head was, in [-1, 1].
            end: where it goes.
            keypoints: at the start, batch 1.
        """
        positions = keypoints.positions[0]
        points = np.concatenate((positions, np.full_like(positions[:, :1], start.shift[2])), axis=1)
        rotation = end.rotation @ start.rotation.T
        bend = end.scale / start.scale * rotation[:2, :2] - np.eye(2)
        shifted = (end(NECK) - start(NECK))[:2]
        return cls(
            shifted,
            end(start.undo(points))[:, :2] - positions - shifted,
            end.scale * rotation[:2, 2],
            bend @ keypoints.jacobians[0],
        )


def _openings(face: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, " 3"]:
    """Return how far both eyes and the lips are open, of a face at rest."""
    return np.array([*eye_openings(face), lip_gap(face)])


def in_head(face: Keypoints, head: Keypoints) -> Float[np.ndarray, "F 6"]:
    """Return positions and Jacobians in the frame of a head, whose last keypoint is the whole."""
    origin, inverse = head.positions[0, -1], invert(head.jacobians[:, -1])[0]
    positions = (face.positions[0] - origin) @ inverse.T
    jacobians = inverse @ face.jacobians[0]
    return np.concatenate((positions, jacobians.reshape(len(positions), 4)), axis=1)


def in_picture(local: Float[np.ndarray, "F 6"], head: Keypoints) -> Keypoints:
    """Undo `in_head`."""
    origin, frame = head.positions[0, -1], head.jacobians[0, -1]
    positions = origin + local[:, :2] @ frame.T
    jacobians = frame @ local[:, 2:].reshape(-1, 2, 2)
    return Keypoints(positions[None], jacobians[None])
