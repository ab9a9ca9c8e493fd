"""The columns of a report: what each number is, where it comes from, which way is better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fnevr.evaluate.metrics.openness import (
    blinks_followed,
    closures_followed,
    correlation,
    slope,
)
from fnevr.evaluate.metrics.psnr import MAX_PSNR_DB
from fnevr.evaluate.scorer import ClipScores

Better = Literal["higher", "lower", "nearer to 1"]


@dataclass(frozen=True)
class Column:
    """One number of a report.

    Attributes:
        name: in JSON and CSV.
        label: in tables.
        better: which way.
        digits: after the point.
        about: definition, network and source, printed under the tables.
        is_distance_of_sets: whether it is computed over all frames at once, not clip by clip.
    """

    name: str
    label: str
    better: Better
    digits: int
    about: str
    is_distance_of_sets: bool = False


MESH = "MediaPipe's face mesh (468 points; ours runs the same networks by ONNX Runtime)"
COLUMNS = (
    Column(
        "l1", "L1", "lower", 4, "Mean absolute error over pixels and channels, values in [0, 1]."
    ),
    Column(
        "psnr",
        "PSNR, dB",
        "higher",
        2,
        f"10 log10(1 / MSE) of each frame, values in [0, 1]; {MAX_PSNR_DB:g} at most.",
    ),
    Column(
        "ssim",
        "SSIM",
        "higher",
        4,
        "Wang et al. 2004: Gaussian window 11 x 11, deviation 1.5, per channel (torchmetrics).",
    ),
    Column("lpips", "LPIPS", "lower", 4, "Zhang et al. 2018, version 0.1 on AlexNet."),
    Column(
        "lpips-efficientnet",
        "lpips-efficientnet",
        "lower",
        5,
        "LPIPS's formula on EfficientNet-lite0 without learned heads. Not LPIPS: other numbers.",
    ),
    Column(
        "akd",
        "AKD, px",
        "lower",
        3,
        "Mean absolute difference of the coordinates of 68 points, pixels at 256 (FOMM's "
        "evaluation), found by face-alignment's 2D FAN on S3FD's boxes.",
    ),
    Column(
        "akd-mediapipe",
        "akd-mediapipe, px",
        "lower",
        3,
        f"AKD's formula on {MESH}. Not AKD: other points.",
    ),
    Column(
        "aed",
        "AED",
        "lower",
        4,
        "Squared Euclidean distance of OpenFace's embeddings (nn4.small2) of whole pictures, as "
        "the later version of FOMM's evaluation sums it.",
    ),
    Column(
        "aed-l1",
        "AED, mean absolute",
        "lower",
        4,
        "Mean absolute difference of the same embeddings, as an earlier version averaged; by its "
        "size FNeVR's published AED is this one.",
    ),
    Column(
        "aed-dlib",
        "aed-dlib",
        "lower",
        4,
        "Euclidean distance of dlib's embeddings of aligned faces. Not AED: another network.",
    ),
    Column("csim", "CSIM", "higher", 4, "Cosine similarity of ArcFace embeddings (w600k_r50)."),
    Column("csim-dlib", "csim-dlib", "higher", 4, "Cosine similarity of dlib's embeddings."),
    Column(
        "fid",
        "FID",
        "lower",
        2,
        "Heusel et al. 2017, Inception of 2015-12-05 (TorchScript), over all looked-at frames.",
        is_distance_of_sets=True,
    ),
    Column(
        "fid-efficientnet",
        "fid-efficientnet",
        "lower",
        3,
        "The same distance on the 1280 pooled features of EfficientNet-lite0. Not FID.",
        is_distance_of_sets=True,
    ),
    Column(
        "sharpness",
        "sharpness",
        "nearer to 1",
        3,
        "Energy of the Laplacian over the face, brought to 200 x 240 pixels, over that of the real "
        "frame (cross-identity: of the source).",
    ),
    Column(
        "pose_error",
        "head pose, deg",
        "lower",
        2,
        "Angle between the head's turn in the output and the one wanted: from the source, and "
        "the driver's from its first frame, or the edit's; cross-identity: both from the first "
        f"frame that is scored. By {MESH}.",
    ),
    *(
        Column(
            f"{axis}_response",
            f"{axis} response",
            "nearer to 1",
            3,
            f"Change of the head's {axis} in the output over the one that was asked for; mean over "
            f"the turns about that axis. By {MESH}.",
        )
        for axis in ("yaw", "pitch", "roll")
    ),
    Column(
        "other_axes",
        "other axes, deg",
        "lower",
        2,
        "By how much the head turned about each of the two axes that were not asked for.",
    ),
    Column(
        "mouth",
        "mouth",
        "higher",
        3,
        "Correlation over a clip of the mouth's opening (gap over width) with the driver's.",
    ),
    Column(
        "eyes",
        "eyes",
        "higher",
        3,
        "Correlation over a clip of the eyes' aspect ratio (Soukupova and Cech 2016) with the "
        "driver's.",
    ),
    Column(
        "mouth_slope",
        "mouth slope",
        "nearer to 1",
        3,
        "By how much the mouth's opening changes in the output when the driver's changes by 1.",
    ),
    Column(
        "eyes_slope",
        "eyes slope",
        "nearer to 1",
        3,
        "The same of the eyes' aspect ratio.",
    ),
    Column(
        "gaze",
        "gaze",
        "higher",
        3,
        "Correlation over a clip of where the irises are between the corners of the eyes, with the "
        "driver's.",
    ),
    Column(
        "gaze_slope",
        "gaze slope",
        "nearer to 1",
        3,
        "By how much that changes in the output when the driver's changes by 1.",
    ),
    Column(
        "blinks",
        "blinks",
        "higher",
        3,
        "Share of the frames in which the driver's eyes are shut (less open than a third of what "
        "is usual in the clip), in which the output's are.",
    ),
    Column(
        "lips_meet",
        "lips meet",
        "higher",
        3,
        "Share of the frames in which the driver's lips touch (gap under 0.04 of the mouth's "
        "width), in which the output's do.",
    ),
    Column(
        "jitter",
        "jitter, px",
        "lower",
        3,
        "Mean length of the second difference in time of the landmarks' error, in pixels at 256: "
        "trembling that the driver does not have.",
    ),
    Column(
        "lost",
        "lost",
        "lower",
        0,
        "Outputs without a face where there should be one; a sum, not a mean.",
    ),
)
Compare = Callable[[np.ndarray, np.ndarray], float]
FOLLOWING: dict[str, tuple[str, Compare]] = {
    "mouth": ("mouth", correlation),
    "eyes": ("eyes", correlation),
    "mouth_slope": ("mouth", slope),
    "eyes_slope": ("eyes", slope),
    "gaze": ("gaze", correlation),
    "gaze_slope": ("gaze", slope),
    "blinks": ("eyes", blinks_followed),
    "lips_meet": ("mouth", closures_followed),
}
"""Columns that compare openings and gaze with the driver's: which of them, and how."""

BY_NAME = {column.name: column for column in COLUMNS}


def clip_value(scores: ClipScores, column: Column) -> float:
    """Return a clip's value of a column; NaN where nothing is known.

    This is the mean over the frames in which it is known. For those of `FOLLOWING` it compares the
    openings of all frames with the driver's, for "lost" it is the number of frames.
    """
    if column.name == "lost" and "lost" in scores.values:
        return float(np.sum(scores.values["lost"]))
    if column.name == "lost":
        real, generated = (np.array(scores.values[key]) for key in ("driver_mouth", "mouth"))
        return float((np.isfinite(real) & ~np.isfinite(generated)).sum())
    if column.name in FOLLOWING:
        opening, compare = FOLLOWING[column.name]
        return compare(*(np.array(scores.values[key]) for key in (opening, f"driver_{opening}")))
    values = np.array(scores.values.get(column.name, []), dtype=float)
    numbers = values[~np.isnan(values)]
    return float(numbers.mean()) if len(numbers) else float("nan")


def columns_of(scores: ClipScores) -> list[Column]:
    """Return the columns that these scores have, in the order of the table."""
    return [
        column
        for column in COLUMNS
        if column.name in scores.values
        or column.name in scores.features
        or column.name == "lost"
        or (column.name in FOLLOWING and FOLLOWING[column.name][0] in scores.values)
    ]
