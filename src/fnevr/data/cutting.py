"""Second pass over a video: frames cut out, checked and stored.

Shapes: H and W of a video's frames, T frames of a clip.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from fnevr.data.clips import to_signed
from fnevr.data.manifest import ClipRow, clip_path
from fnevr.data.segments import Segment, clip_seconds
from fnevr.data.settings import SIZE, PrepareSettings
from fnevr.data.sources import Span
from fnevr.data.store import encode_frame, write_clip
from fnevr.data.tracking import FaceTrack
from fnevr.faces.crop import crop
from fnevr.faces.landmarks import NUM_MESH
from fnevr.media.reader import VideoReader

BLURRED, TOO_DARK, ENDS_EARLY = "blurred", "too dark", "video ends early"
CHECK_EVERY = 5


@dataclass
class Cut:
    """A clip on its way.

    Attributes:
        row: what the manifest will say of it.
        segment: which frames, and the square.
        track: of the face.
        jpegs: the frames done so far.
        sharpness: of every fifth frame.
        brightness: of the same frames.
    """

    row: ClipRow
    segment: Segment
    track: FaceTrack
    jpegs: list[bytes] = field(default_factory=list)
    sharpness: list[float] = field(default_factory=list)
    brightness: list[float] = field(default_factory=list)

    @property
    def first(self) -> int:
        """Number of its first frame in the video."""
        return self.track.first + self.segment.start

    @property
    def stop(self) -> int:
        """Number of the frame after its last."""
        return self.track.first + self.segment.stop

    @property
    def landmarks(self) -> Float[np.ndarray, "T 478 2"]:
        """The landmarks in the square, in [-1, 1]."""
        box = self.segment.box
        points = self.track.landmarks_px[self.segment.start : self.segment.stop]
        return to_signed(points - np.array([box.left, box.top], np.float32), box.size, box.size)

    def add(self, rgb: UInt8[np.ndarray, "H W 3"]) -> None:
        """Cut the square out of the next frame."""
        picture = crop(rgb, self.segment.box, SIZE)
        if len(self.jpegs) % CHECK_EVERY == 0:
            sharpness, brightness = face_quality(picture, self.landmarks[len(self.jpegs)])
            self.sharpness.append(sharpness)
            self.brightness.append(brightness)
        self.jpegs.append(encode_frame(picture))

    def fault(self, settings: PrepareSettings) -> str | None:
        """Say why the clip cannot be used, if so."""
        if len(self.jpegs) < self.row.frames:
            return ENDS_EARLY
        if np.median(self.brightness) < settings.min_brightness:
            return TOO_DARK
        if np.median(self.sharpness) < settings.min_sharpness:
            return BLURRED
        return None


def plan_cuts(
    span: Span, track: FaceTrack, segments: Sequence[Segment], source: str, licence: str
) -> list[Cut]:
    """Describe the clips of a span before they are cut."""
    cuts = []
    for number, segment in enumerate(segments):
        times_s, box = track.times_s[segment.start : segment.stop], segment.box
        seconds = clip_seconds(times_s)
        row = ClipRow(
            name=f"{span.name}-{number:03d}",
            identity=span.identity,
            source=source,
            start_s=round(float(times_s[0]), 3),
            seconds=round(seconds, 3),
            frames=len(times_s),
            fps=round(len(times_s) / seconds, 3),
            crop=(round(box.left, 2), round(box.top, 2), round(box.size, 2)),
            face_px=round(segment.face_px, 1),
            motion=round(segment.motion, 4),
            licence=licence,
        )
        cuts.append(Cut(row, segment, track))
    return cuts


def write_cuts(
    video: VideoReader,
    cuts: Sequence[Cut],
    out: Path,
    settings: PrepareSettings,
) -> tuple[list[ClipRow], Counter[str]]:
    """Cut, check and store clips, reading the video once; only the clips under way are in memory.

    Returns:
        The rows of what was stored, and how often what was left out, and why.
    """
    rows: list[ClipRow] = []
    reasons: Counter[str] = Counter()
    queue = sorted(cuts, key=lambda cut: cut.first)
    active: list[Cut] = []

    def finish(cut: Cut) -> None:
        fault = cut.fault(settings)
        if fault is None:
            write_clip(clip_path(out, cut.row.name), cut.jpegs, cut.landmarks)
            rows.append(cut.row)
        else:
            reasons[fault] += 1

    for index, frame in enumerate(video if queue else ()):
        while queue and queue[0].first <= index:
            active.append(queue.pop(0))
        for cut in active:
            cut.add(frame.rgb)
        for cut in [cut for cut in active if cut.stop == index + 1]:
            active.remove(cut)
            finish(cut)
        if not queue and not active:
            break
    reasons[ENDS_EARLY] += len(queue) + len(active)
    return rows, +reasons


def face_quality(
    rgb: UInt8[np.ndarray, "H W 3"], landmarks: Float[np.ndarray, "478 2"]
) -> tuple[float, float]:
    """Measure the face in a crop.

    Returns:
        Its sharpness: the mean absolute Laplacian; and its mean; both in gray levels of 255.
    """
    side = len(rgb)
    mesh = (landmarks[:NUM_MESH] + 1) / 2 * side
    left, top = np.floor(mesh.min(axis=0)).astype(int).clip(0, side - 8)
    right, bottom = np.ceil(mesh.max(axis=0)).astype(int).clip(8, side)
    gray = rgb[top:bottom, left:right].astype(np.float32).mean(axis=2)
    neighbours = gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:]
    return float(np.abs(4 * gray[1:-1, 1:-1] - neighbours).mean()), float(gray.mean())
