"""Build `assets/teeth.safetensors`: the mean of what shows between parted lips, over the light.

    python scripts/assets/build_teeth.py DATA OUT.safetensors

DATA holds `stills.tsv` and `stills/`; only people for training are used. Each mouth that is open by
0.05 to 0.09 face heights is brought to one shape, from lip to lip and from corner to corner. The
mean is made symmetric and divided by the mean light of these faces (`animation.open_mouth`). Gaps
between teeth, which are not quite at one place, are blurred in it: they are made deeper again.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import typer
from jaxtyping import Float
from safetensors.numpy import save_file

from fnevr.animation.open_mouth import BRIGHT_SKIN, LOWER, SKIN, UPPER
from fnevr.data.cropped import read_table
from fnevr.errors import FaceError
from fnevr.faces.detector import FaceDetector
from fnevr.faces.find import find_face
from fnevr.faces.landmarks import FaceMesh, Landmarks
from fnevr.media.files import atomic_path
from fnevr.media.image import Picture, read_image

ROWS, COLUMNS = 32, 64
LEAST, MOST = 0.05, 0.09
BLUR, DEPTH = 2.5, 2.0  # in columns, and by how often the difference from that is added
CHIN, FOREHEAD, UPPER_LIP, LOWER_LIP = 152, 10, 13, 14
SIDE = 384  # of the pictures


def main(data: Path, out: Path, most: int = 1000) -> None:
    """Write the mean."""
    detector, mesh = FaceDetector(1), FaceMesh(1)
    total, light, count = np.zeros((ROWS, COLUMNS, 3)), 0.0, 0
    rows = read_table(data, "stills.tsv", ("name", "split", "size", "mouth_open"))
    rows = [row for row in rows if row["split"] == "train" and int(row["size"]) == SIDE]
    rows = [row for row in rows if float(row["mouth_open"] or 0) > LEAST / 2]
    for row in rows[:most]:
        picture = read_image(data / "stills" / row["name"])
        try:
            landmarks = find_face(picture, None, detector, mesh)
        except FaceError:
            continue
        height = np.linalg.norm(landmarks[FOREHEAD, :2] - landmarks[CHIN, :2])
        gap = np.linalg.norm(landmarks[UPPER_LIP, :2] - landmarks[LOWER_LIP, :2]) / height
        if not LEAST < gap < MOST:
            continue
        total += straightened(picture, landmarks)
        points = landmarks[SKIN, :2].astype(int).clip(0, min(picture.shape[:2]) - 1)
        skin = picture[points[:, 1], points[:, 0]].mean(axis=-1) / 255
        light += float(np.quantile(skin, BRIGHT_SKIN))
        count += 1
    mean = (total + total[:, ::-1]) / (2 * light)
    with atomic_path(out) as temporary:
        save_file({"teeth": deepened(mean).astype(np.float16)}, temporary)
    typer.echo(f"{out}: {count} mouths of {len(rows[:most])} pictures")


def deepened(teeth: Float[np.ndarray, "32 64 3"]) -> Float[np.ndarray, "32 64 3"]:
    """Make what differs from the neighbouring columns differ more."""
    reach = round(4 * BLUR)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / BLUR) ** 2)
    padded = np.pad(teeth, ((0, 0), (reach, reach), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(weights), axis=1)
    return (teeth + DEPTH * (teeth - windows @ weights / weights.sum())).clip(min=0)


def straightened(picture: Picture, landmarks: Landmarks) -> Float[np.ndarray, "32 64 3"]:
    """Bring the inside of a mouth to one shape, in [0, 1]."""
    upper, lower = (_spread(landmarks[line, :2]) for line in (UPPER, LOWER))
    share = ((np.arange(ROWS) + 0.5) / ROWS)[:, None, None]
    places = upper + share * (lower - upper) - 0.5
    corner = np.floor(places).astype(int)
    part = places - corner
    result = np.zeros((ROWS, COLUMNS, 3))
    for right in (0, 1):
        for down in (0, 1):
            column, row = (
                (corner[..., axis] + step).clip(0, picture.shape[1 - axis] - 1)
                for axis, step in ((0, right), (1, down))
            )
            weight = np.abs(1 - right - part[..., 0]) * np.abs(1 - down - part[..., 1])
            result += weight[..., None] * picture[row, column] / 255
    return result


def _spread(line: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "64 2"]:
    """Return points at equal steps of the index along a line."""
    steps = np.linspace(0, len(line) - 1, COLUMNS)
    return np.stack([np.interp(steps, np.arange(len(line)), axis) for axis in line.T], axis=-1)


if __name__ == "__main__":
    typer.run(main)
