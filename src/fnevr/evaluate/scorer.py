"""Scores of generated frames: pictures, landmarks, identity, pose, openings, jitter.

Where no face is found in a generated frame, its face scores are NaN: they are left out of the means
and counted. Where none is found in the driving frame, nothing about faces is scored.

Shapes: T frames, B at a time, H and W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from fnevr.evaluate.metrics.csim import cosine_similarity
from fnevr.evaluate.metrics.embedding_distance import embedding_distance
from fnevr.evaluate.metrics.head_pose import head_turn, pose_error_deg
from fnevr.evaluate.metrics.jitter import jitter
from fnevr.evaluate.metrics.landmark_distance import landmark_distance, mesh_distance
from fnevr.evaluate.metrics.openness import eye_opening, gaze_right, mouth_opening
from fnevr.evaluate.metrics.sharpness import face_sharpness
from fnevr.evaluate.networks.available import QUICK, Networks
from fnevr.evaluate.networks.fan import FacePoints
from fnevr.faces.landmarks import NUM_LANDMARKS, Landmarks
from fnevr.faces.tracker import FaceTracker
from fnevr.media.arrays import to_images_01, to_pictures

BATCH_SIZE = 8
Video = UInt8[np.ndarray, "T H W 3"]

# Takes the numbers of driving frames, in order; returns pictures (B, 3, H, W) in [0, 1].
Predictor = Callable[[Int[np.ndarray, " B"]], torch.Tensor]


@dataclass(frozen=True)
class ClipScores:
    """One predictor on one clip.

    Attributes:
        values: by column, a number per frame; NaN is unknown.
        features: by Frechet distance, those of the generated frames that were looked at.
    """

    values: dict[str, list[float]]
    features: dict[str, Float[np.ndarray, "N F"]]


@dataclass(frozen=True)
class MeasuredFace:
    """What was found in one frame.

    Attributes:
        landmarks: in pixels; None where there is no face.
        embeddings: by the names of the embedders; empty in frames that are not looked at.
        sharpness: see `metrics.sharpness`; NaN without a face.
    """

    landmarks: Landmarks | None
    embeddings: dict[str, np.ndarray]
    sharpness: float = float("nan")


@dataclass(frozen=True)
class FaceMeter:
    """Measures the faces and features of frames.

    Attributes:
        networks: what to measure with.
        every: embeddings and features are of every n-th frame.
    """

    networks: Networks
    every: int

    def faces(self, frames: Video) -> list[MeasuredFace]:
        """Follow the face through consecutive frames."""
        tracker, faces = FaceTracker(num_threads=1), []
        for index, rgb in enumerate(frames):
            track = tracker.update(rgb)
            if track is None or track.status == "held":
                faces.append(MeasuredFace(None, {}))
                continue
            embeddings = {}
            if index % self.every == 0:
                embeddings = {
                    name: embedder.embed(rgb, track.landmarks)
                    for name, embedder in self.networks.embedders.items()
                }
            sharpness = face_sharpness(rgb, track.landmarks)
            faces.append(MeasuredFace(track.landmarks, embeddings, sharpness))
        return faces

    def points(self, detector: FacePoints, video: Video) -> list[Float[np.ndarray, "68 2"] | None]:
        """Find AKD's points in every n-th frame; None elsewhere and where there is no face."""
        return [
            detector.find(rgb) if index % self.every == 0 else None
            for index, rgb in enumerate(video)
        ]

    @torch.inference_mode()
    def features(self, video: Video) -> dict[str, np.ndarray]:
        """Return the pooled features of every n-th frame, by Frechet distance."""
        features = {}
        for name, pool in self.networks.features.items():
            pictures = torch.from_numpy(video[:: self.every]).permute(0, 3, 1, 2)
            parts = [pool(part) for part in pictures.split(BATCH_SIZE)]
            features[name] = torch.cat(parts).float().numpy()
        return features


class ClipScorer:
    """Scores predictors that show a source as a driver moves; the real frames are measured once."""

    def __init__(
        self,
        source: UInt8[np.ndarray, "H W 3"],
        reference: UInt8[np.ndarray, "H W 3"],
        driving: Video,
        networks: Networks,
        *,
        is_target: bool,
        every: int,
    ) -> None:
        """Measure the real frames.

        Args:
            source: the picture that is animated.
            reference: the driver's frame that corresponds to it.
            driving: the driver's frames that are scored.
            networks: what to measure with.
            is_target: whether the driving frames are what the generated ones should be.
            every: AKD, AED, CSIM, LPIPS and Frechet features look at every n-th frame.

        Raises:
            ValueError: if there are no driving frames.
        """
        if not len(driving):
            raise ValueError("no frames to score after the source")
        self.driving, self.networks, self.every = driving, networks, every
        self.is_target, self.side = is_target, driving.shape[1]
        self.meter = FaceMeter(networks, every)
        self.start = self.meter.faces(source[None])[0]
        self.reference = self.meter.faces(reference[None])[0]
        self.real = self.meter.faces(driving)
        self.detector = networks.points if is_target else None
        if self.detector is not None:
            self.real_points = self.meter.points(self.detector, driving)

    def score(self, predict: Predictor) -> ClipScores:
        """Predict every driving frame and score it."""
        values: dict[str, list[float]] = {}
        if self.is_target:
            values |= {name: [] for name in self.networks.pictures}
        generated: list[UInt8[np.ndarray, "H W 3"]] = []
        for start in range(0, len(self.driving), BATCH_SIZE):
            batch = self.driving[start : start + BATCH_SIZE]
            image_01 = predict(np.arange(start, start + len(batch))).clamp(0, 1)
            if self.is_target:
                self._score_pictures(values, image_01, to_tensor(batch), start)
            generated += list(to_frames(image_01))
        video = np.stack(generated)
        faces = self.meter.faces(video)
        pairs = list(zip(faces, self.real, strict=True))
        starts = (self.start.landmarks, self.reference.landmarks)
        if not self.is_target:
            seen = ((face.landmarks, real.landmarks) for face, real in pairs)
            both = (turn for turn in seen if turn[0] is not None and turn[1] is not None)
            starts = next(both, (None, None))
        rows = [self._compare(face, real, *starts) for face, real in pairs]
        values |= {name: [row[name] for row in rows] for name in rows[0]}
        if self.detector is not None:
            points = self.meter.points(self.detector, video)
            both_points = zip(points, self.real_points, strict=True)
            values["akd"] = [self._akd(*pair) for pair in both_points]
        values["jitter"] = jitter(_stacked(faces), _stacked(self.real), self.side).tolist()
        return ClipScores(values, self.meter.features(video))

    @torch.inference_mode()
    def _score_pictures(
        self,
        values: dict[str, list[float]],
        image_01: torch.Tensor,
        target_01: torch.Tensor,
        start: int,
    ) -> None:
        rows = [i for i in range(len(image_01)) if (start + i) % self.every == 0]
        for name, metric in self.networks.pictures.items():
            if name in QUICK:
                values[name] += metric(image_01, target_01).tolist()
                continue
            scores = np.full(len(image_01), np.nan)
            if rows:
                scores[rows] = metric(image_01[rows], target_01[rows]).numpy()
            values[name] += scores.tolist()

    def _akd(self, points: np.ndarray | None, real: np.ndarray | None) -> float:
        if points is None or real is None:
            return float("nan")
        return landmark_distance(points, real, self.side)

    def _compare(
        self,
        face: MeasuredFace,
        real: MeasuredFace,
        start: Landmarks | None,
        reference: Landmarks | None,
    ) -> dict[str, float]:
        """Score one frame; the turns of both heads are measured from `start` and `reference`."""
        scores = dict.fromkeys(self._columns(), float("nan"))
        if real.landmarks is not None:
            scores["driver_mouth"] = mouth_opening(real.landmarks)
            scores["driver_eyes"] = eye_opening(real.landmarks)
            scores["driver_gaze"] = gaze_right(real.landmarks)
        if face.landmarks is None:
            return scores
        scores["mouth"], scores["eyes"] = mouth_opening(face.landmarks), eye_opening(face.landmarks)
        scores["gaze"] = gaze_right(face.landmarks)
        person = real if self.is_target else self.start
        scores |= identity_scores(face, person)
        scores["sharpness"] = face.sharpness / person.sharpness if person.sharpness else math.nan
        if real.landmarks is None:
            return scores
        if self.is_target:
            scores["akd-mediapipe"] = mesh_distance(face.landmarks, real.landmarks, self.side)
        if start is not None and reference is not None:
            scores["pose_error"] = pose_error_deg(
                head_turn(start, face.landmarks), head_turn(reference, real.landmarks)
            )
        return scores

    def _columns(self) -> list[str]:
        target = ["akd-mediapipe"] if self.is_target else []
        identity = identity_columns(self.networks)
        return [
            *target,
            *identity,
            "sharpness",
            "pose_error",
            "mouth",
            "eyes",
            "gaze",
            "driver_mouth",
            "driver_eyes",
            "driver_gaze",
        ]


def identity_columns(networks: Networks) -> list[str]:
    """Name the columns of identity: a cosine of every network, and a distance of all but ArcFace.

    ArcFace's embeddings have length 1, so their distance says what the cosine says.
    """
    distances = [f"aed{name}" for name in networks.embedders if name]
    return [*distances, *(f"csim{name}" for name in networks.embedders)]


def identity_scores(face: MeasuredFace, target: MeasuredFace) -> dict[str, float]:
    """Compare two faces by every embedding that both have."""
    scores = {}
    for name in face.embeddings.keys() & target.embeddings.keys():
        pair = face.embeddings[name], target.embeddings[name]
        scores[f"csim{name}"] = cosine_similarity(*pair)
        if name:
            scores[f"aed{name}"] = embedding_distance(*pair)
    return scores


def to_tensor(frames: UInt8[np.ndarray, "B H W 3"]) -> Float[torch.Tensor, "B 3 H W"]:
    """Turn frames into pictures in [0, 1]."""
    return torch.tensor(to_images_01(frames))  # not in NumPy's memory: see `TorchEngine`


def to_frames(image_01: Float[torch.Tensor, "B 3 H W"]) -> UInt8[np.ndarray, "B H W 3"]:
    """Turn pictures in [0, 1] into frames."""
    return to_pictures(image_01.numpy())


def _stacked(faces: list[MeasuredFace]) -> Float[np.ndarray, "T 478 3"]:
    """Stack the landmarks of all frames, NaN where there is no face."""
    unknown = np.full((NUM_LANDMARKS, 3), np.nan, np.float32)
    return np.stack([unknown if face.landmarks is None else face.landmarks for face in faces])
