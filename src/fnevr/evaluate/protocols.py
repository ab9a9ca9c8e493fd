"""What is generated from what: the protocols of the field.

same-identity: frame 0 of a clip is the source, its later frames are driven by absolute motion and
are what should come out. Frame 0 itself is not scored: it is the source.

cross-identity: frame 0 of one person's clip is driven by another's clip, as `animate` does it:
retargeted by models that can, by others with relative motion from the driver's frame 0 (FOMM,
section 3.4), as in the papers; models that are driven by coefficients or landmarks take them as
they are. There is no truth to compare with: identity is compared with the source, features with the
real frames of the source's clip, movements with the driver.

pose-editing: frame 0 is turned by known angles (`fnevr.evaluate.pose_editing`).

Shapes: B frames at a time, H and W pixels.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int, UInt8

from fnevr.animation.driver import timed
from fnevr.animation.motions import motion_of
from fnevr.animation.reference_frame import face_positions, num_face_keypoints
from fnevr.animation.retargeting import Retargeting, can_retarget
from fnevr.animation.source import Framing, prepare
from fnevr.data.cropped import check_rows
from fnevr.errors import FaceError, FnevrError
from fnevr.evaluate.clips import EvaluationClip
from fnevr.evaluate.scorer import BATCH_SIZE, Predictor, to_tensor
from fnevr.face3d.performance import Performance, PerformanceReader
from fnevr.faces.tracker import FaceTracker
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.transfer import movement_scale, transfer_relative
from fnevr.media.arrays import to_images_01
from fnevr.runtime.engine import Engine

Protocol = Literal["same-identity", "cross-identity", "pose-editing"]
Picture = UInt8[np.ndarray, "H W 3"]
FRAME_S = 0.04  # between two frames; clips are evaluated without their times


@dataclass(frozen=True)
class Pair:
    """A source and a driver, by the names of their clips."""

    source: str
    driver: str

    @property
    def name(self) -> str:
        """What its scores are filed under."""
        return self.source if self.source == self.driver else f"{self.source}--{self.driver}"


def make_pairs(
    clips: list[EvaluationClip], protocol: Protocol, pairs_file: Path | None, seed: int
) -> list[Pair]:
    """Say what is generated from what.

    Args:
        clips: those there are.
        protocol: see above.
        pairs_file: for cross-identity, a CSV file with the columns source and driver; None draws
            for each clip one driver of another identity.
        seed: of the draw.

    Raises:
        FnevrError: if the file cannot be used, or a clip has no partner.
    """
    if protocol != "cross-identity":
        if pairs_file is not None:
            raise FnevrError("pairs are for `protocol='cross-identity'`", argument="pairs_file")
        return [Pair(clip.name, clip.name) for clip in clips]
    if pairs_file is not None:
        return _read_pairs(pairs_file, {clip.name for clip in clips})
    rng, pairs = np.random.default_rng(seed), []
    for clip in clips:
        others = [
            other.name
            for other in clips
            if other.name != clip.name and (other.identity != clip.identity or not clip.identity)
        ]
        if not others:
            raise FnevrError(f"no clip shows anybody but '{clip.identity}': nothing to drive with")
        pairs.append(Pair(clip.name, others[int(rng.integers(len(others)))]))
    return pairs


def still_predictor(source: Picture) -> Predictor:
    """Repeat the source."""
    source_01 = to_tensor(source[None])
    return lambda numbers: source_01.expand(len(numbers), -1, -1, -1)


def model_predictor(
    engine: Engine,
    source: Picture,
    driver: UInt8[np.ndarray, "T H W 3"],
    protocol: Protocol,
) -> Predictor:
    """Animate the source.

    Args:
        engine: runs what is evaluated.
        source: the picture.
        driver: the driver's first frame, and those that are asked for by their numbers after it.
        protocol: absolute motion for same-identity; for cross-identity see above.

    Raises:
        FaceError: if the source, or for relative motion the driver's first frame, shows no face.
    """
    if engine.config.driven_by != "keypoints":
        return _told_of_faces(engine, source, driver)
    if protocol == "cross-identity" and can_retarget(engine):
        return _retargeting(engine, source, driver)
    encoded = engine.read_source(to_images_01(source[None]))
    keypoints = encoded.keypoints.numpy()
    start = engine.driving_keypoints(to_images_01(driver[:1]), encoded)
    num_face = num_face_keypoints(engine)
    scale = 1.0 if protocol == "same-identity" else _scale(keypoints, start, num_face)

    def predict(numbers: Int[np.ndarray, " B"]) -> torch.Tensor:
        driving_keypoints = engine.driving_keypoints(to_images_01(driver[numbers + 1]), encoded)
        if protocol == "cross-identity":
            driving_keypoints = transfer_relative(keypoints, driving_keypoints, start, scale)
        return torch.from_numpy(engine.draw(encoded, driving_keypoints))

    return predict


def _told_of_faces(
    engine: Engine, source: Picture, driver: UInt8[np.ndarray, "T H W 3"]
) -> Predictor:
    """Animate by what a whole driver's face does, which is found at once."""
    motion = motion_of(engine)
    whole = Framing(crop=False, paste_back=False)
    (prepared,) = prepare(engine, source, whole).sources
    frames = motion.follow(engine, timed(driver), crop=False)
    moves = [
        batch.of(0)[index : index + 1]
        for batch in motion.batches(engine, frames, [prepared.encoded], BATCH_SIZE)
        for index in range(len(batch.times))
    ]

    def predict(numbers: Int[np.ndarray, " B"]) -> torch.Tensor:
        drawn = [engine.draw(prepared.encoded, moves[number + 1]) for number in numbers]
        return torch.from_numpy(np.concatenate(drawn))

    return predict


def _retargeting(
    engine: Engine, source: Picture, driver: UInt8[np.ndarray, "T H W 3"]
) -> Predictor:
    framing = Framing(crop=False, paste_back=False, detail=len(source))
    (prepared,) = prepare(engine, source, framing).sources
    retarget = Retargeting.of_source(engine, prepared)
    tracker, reader = FaceTracker(num_threads=1), PerformanceReader()

    def read(rgb: Picture) -> Performance | None:
        track = tracker.update(rgb)
        return reader.update(None if track is None else track.seen, FRAME_S)

    read(driver[0])

    def predict(numbers: Int[np.ndarray, " B"]) -> torch.Tensor:
        seen = [read(driver[number + 1]) for number in numbers]
        shown = [retarget.own if performance is None else performance for performance in seen]
        drawn = retarget.draw(engine, prepared.encoded, Performance.concatenate(shown))
        return torch.from_numpy(drawn)

    return predict


def _scale(source: Keypoints, reference: Keypoints, num_face: int | None) -> float:
    try:
        return movement_scale(face_positions(source, num_face), face_positions(reference, num_face))
    except FaceError:
        return 1.0  # an untrained detector may put all keypoints in one place


def _read_pairs(path: Path, names: set[str]) -> list[Pair]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FnevrError(f"cannot read '{path}': {error}") from error
    check_rows(path, rows, ("source", "driver"))
    pairs = []
    for row in rows:
        pair = Pair(Path(row["source"]).stem, Path(row["driver"]).stem)
        unknown_clips = [clip for clip in (pair.source, pair.driver) if clip not in names]
        if unknown_clips:
            raise FnevrError(f"'{path}' names {unknown_clips[0]!r}, which is no clip of the data")
        pairs.append(pair)
    return pairs
