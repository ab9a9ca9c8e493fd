"""Several predictors on the same clips: pictures, landmarks, identity, opening of mouth and eyes.

The protocol is that of same-identity reconstruction: frame 0 is the source, every later frame is
driven and scored, mean over frames, then over clips. Frame 0 itself is not scored.

Where no face is found in a generated frame, its face scores are NaN: they are left out of the means
and counted. Where none is found in the real frame, nothing about faces is scored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

from fnevr.data.clips import Clip
from fnevr.evaluate.identity import IdentityEmbedder, identity_distance
from fnevr.evaluate.l1 import l1
from fnevr.evaluate.landmark_distance import landmark_distance
from fnevr.evaluate.openness import eye_opening, mouth_opening
from fnevr.evaluate.psnr import psnr
from fnevr.evaluate.ssim import ssim
from fnevr.faces.landmarks import Landmarks
from fnevr.faces.tracker import FaceTracker
from fnevr.media.files import atomic_path
from fnevr.models.portrait import PortraitModel

BATCH_SIZE = 8
IDENTITY_EVERY = 5
METRICS = ("l1", "psnr", "ssim", "landmark_distance", "identity_distance")

# Takes the source and a batch of driving frames, uint8 (B, H, W, 3); returns pictures in [0, 1].
Predictor = Callable[[UInt8[np.ndarray, "B H W 3"]], torch.Tensor]


@dataclass(frozen=True)
class FrameScores:
    """One predictor on one clip, a number per frame from frame 1 on; NaN is unknown.

    Attributes:
        landmark_distance: mean over the mesh, in pixels at 256.
        identity_distance: of every fifth frame (an embedding costs more than a frame).
        mouth, eyes: openings of the prediction.
        driver_mouth, driver_eyes: openings of the real frame.
    """

    l1: list[float]
    psnr: list[float]
    ssim: list[float]
    landmark_distance: list[float]
    identity_distance: list[float]
    mouth: list[float]
    eyes: list[float]
    driver_mouth: list[float]
    driver_eyes: list[float]

    def mean(self, metric: str) -> float:
        """Return the mean over the frames in which the metric is known; NaN if there is none."""
        values = np.array(getattr(self, metric), dtype=float)
        known = values[np.isfinite(values)]
        return float(known.mean()) if len(known) else float("nan")

    @property
    def num_faces_missing(self) -> int:
        """Frames with a face in the real picture and none in the generated one."""
        real, generated = np.array(self.driver_mouth), np.array(self.mouth)
        return int((np.isfinite(real) & ~np.isfinite(generated)).sum())


class ClipScorer:
    """Scores predictors on one clip; the real frames are measured once."""

    def __init__(self, clip: Clip, embedder: IdentityEmbedder) -> None:
        """Measure the real frames.

        Raises:
            ValueError: if the clip has a single frame.
        """
        if len(clip.frames) < 2:
            raise ValueError(f"{clip.name} has one frame: nothing to score after the source")
        self.clip, self.embedder = clip, embedder
        frames = (np.array(clip.frames[index]) for index in range(1, len(clip.frames)))
        self.real = list(self._measure(frames))

    def score(self, predict: Predictor) -> FrameScores:
        """Predict every frame from 1 on and score it."""
        pictures: dict[str, list[float]] = {"l1": [], "psnr": [], "ssim": []}
        predicted: list[UInt8[np.ndarray, "H W 3"]] = []
        for start in range(1, len(self.clip.frames), BATCH_SIZE):
            stop = min(start + BATCH_SIZE, len(self.clip.frames))
            driving = np.stack([self.clip.frames[index] for index in range(start, stop)])
            image_01, target_01 = predict(driving).clamp(0, 1), to_tensor(driving)
            for name, metric in (("l1", l1), ("psnr", psnr), ("ssim", ssim)):
                pictures[name] += metric(image_01, target_01).tolist()
            predicted += list((image_01 * 255).round().byte().permute(0, 2, 3, 1).numpy())
        faces = [
            self._compare(face, real)
            for face, real in zip(self._measure(iter(predicted)), self.real, strict=True)
        ]
        columns = {name: [face[name] for face in faces] for name in faces[0]}
        return FrameScores(**pictures, **columns)

    def _measure(self, frames: Iterator[np.ndarray]) -> Iterator[_Face]:
        tracker = FaceTracker(num_threads=1)
        for index, rgb in enumerate(frames):
            track = tracker.update(rgb)
            if track is None or track.status == "held":
                yield _Face(None, None)
            else:
                wanted = index % IDENTITY_EVERY == 0
                embedding = self.embedder.embed(rgb, track.landmarks) if wanted else None
                yield _Face(track.landmarks, embedding)

    def _compare(self, face: _Face, real: _Face) -> dict[str, float]:
        scores = dict.fromkeys(
            ("landmark_distance", "identity_distance", "mouth", "eyes", "driver_mouth"),
            float("nan"),
        ) | {"driver_eyes": float("nan")}
        if real.landmarks is None:
            return scores
        scores["driver_mouth"] = mouth_opening(real.landmarks)
        scores["driver_eyes"] = eye_opening(real.landmarks)
        if face.landmarks is None:
            return scores
        side = self.clip.frames.shape[1]
        scores["mouth"] = mouth_opening(face.landmarks)
        scores["eyes"] = eye_opening(face.landmarks)
        scores["landmark_distance"] = landmark_distance(face.landmarks, real.landmarks, side)
        if face.embedding is not None and real.embedding is not None:
            scores["identity_distance"] = identity_distance(face.embedding, real.embedding)
        return scores


@dataclass(frozen=True)
class _Face:
    landmarks: Landmarks | None
    embedding: Float[np.ndarray, " N"] | None


def still_predictor(clip: Clip) -> Predictor:
    """Repeat frame 0."""
    source_01 = to_tensor(np.array(clip.frames[0])[None])
    return lambda driving: source_01.expand(len(driving), -1, -1, -1)


def model_predictor(model: PortraitModel, clip: Clip) -> Predictor:
    """Animate frame 0 by the absolute keypoints of each frame."""
    with torch.inference_mode():
        source_01 = to_tensor(np.array(clip.frames[0])[None])
        source, features = model.keypoints(source_01), model.encode(source_01)

    @torch.inference_mode()
    def predict(driving: UInt8[np.ndarray, "B H W 3"]) -> torch.Tensor:
        keypoints = model.driving_keypoints(to_tensor(driving), source)
        return model.generate(source_01, source, keypoints, source_features=features).image

    return predict


class ResultStore:
    """Scores kept on disk, one JSON file per clip and predictor, so that none is computed twice."""

    def __init__(self, folder: Path) -> None:
        """Use a folder; it is made when the first result is written."""
        self.folder = folder

    def read(self, key: str, clip: str) -> FrameScores | None:
        """Return a stored result, or None."""
        path = self._path(key, clip)
        if not path.is_file():
            return None
        return FrameScores(**json.loads(path.read_text(encoding="utf-8")))

    def write(self, key: str, clip: str, scores: FrameScores) -> None:
        """Keep a result."""
        path = self._path(key, clip)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(asdict(scores)), encoding="utf-8")

    def _path(self, key: str, clip: str) -> Path:
        return self.folder / key / f"{Path(clip).stem}.json"


def weights_key(weights: Path) -> str:
    """Return the first 12 digits of a weights file's SHA-256: the name of its results."""
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def to_tensor(frames: UInt8[np.ndarray, "B H W 3"]) -> Float[torch.Tensor, "B 3 H W"]:
    """Turn frames into pictures in [0, 1]."""
    return torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
