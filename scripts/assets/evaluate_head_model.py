"""Print how well the open head model fits faces that it was not built from, as Markdown tables.

    python scripts/assets/evaluate_head_model.py DATA [--landmarks CACHE.npz]

DATA holds `clips.tsv`, `clips/`, `portraits.tsv` and `portraits/`; clips of the split `val` and
all photographs are used. Errors are mean distances in the picture over the 468 points of the face
mesh, in % of the distance between the pupils (in space, seen by the camera), and in pixels. Clips
are 256 pixels wide, photographs of any size.
"""

from __future__ import annotations

import csv
import itertools
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from build_head_model import cached_landmarks

from fnevr.data.cropped import read_table
from fnevr.errors import FaceError
from fnevr.face3d.fitting import NUM_MESH, Fit, fit_landmarks, fit_track
from fnevr.face3d.head_model import HeadModel
from fnevr.faces.detector import FaceDetector
from fnevr.faces.find import find_face
from fnevr.faces.landmarks import FaceMesh
from fnevr.faces.tracker import FaceTracker
from fnevr.media.image import read_image
from fnevr.media.video import open_video

PUPILS = (468, 473)
CONSECUTIVE = 48  # frames of each clip that are fitted as a video


def main(
    data: Path,
    landmarks: Annotated[Path | None, typer.Option(help="Cache of the clips' landmarks.")] = None,
) -> None:
    """Print the tables."""
    rows = [row for row in read_table(data) if row["split"] == "val"]
    clips = list(cached_landmarks(data, rows, landmarks).values())
    every = np.concatenate(clips).astype(np.float32)
    portraits, tracks = photographs(data), [track(data / "clips" / row["name"]) for row in rows]
    model = HeadModel.packaged()
    typer.echo(f"{len(rows)} clips, {len(every)} frames; {len(portraits)} photographs\n")

    typer.echo("| beta | psi | frames | photographs |\n|---|---|---|---|")
    for num_shape, num_expression in ((0, 0), (10, 10), (20, 20), (40, 30), (60, 50)):
        smaller = truncated(model, num_shape, num_expression)
        errors = [relative_errors(fit_landmarks(smaller, faces)) for faces in (every, portraits)]
        cells = " | ".join(f"{100 * error.mean():.2f} %" for error in errors)
        typer.echo(f"| {num_shape} | {num_expression} | {cells} |")

    typer.echo("\n| | mean | median | worst face | depth too | pixels | ms of CPU a face |")
    typer.echo("|---|---|---|---|---|---|---|")
    report("frames over whole clips", lambda: [fit_landmarks(model, every)], every)
    first = np.concatenate(tracks)
    report("first frames by themselves", lambda: [fit_landmarks(model, first)], first)
    report("first frames as a video", lambda: [fit_track(model, t) for t in tracks], first)
    report("photographs", lambda: [fit_landmarks(model, portraits)], portraits)


def track(path: Path) -> np.ndarray:
    """Return the landmarks of a clip's first frames, in pixels."""
    tracker, found = FaceTracker(num_threads=1), []
    with open_video(path) as video:
        for frame in itertools.islice(video, CONSECUTIVE):
            face = tracker.update(frame.rgb)
            if face is not None and face.status != "held":
                found.append(face.landmarks)
    return np.stack(found).astype(np.float32)


def photographs(data: Path) -> np.ndarray:
    """Return the landmarks of all photographs with a face, in pixels."""
    detector, mesh, found = FaceDetector(num_threads=1), FaceMesh(num_threads=1), []
    with (data / "portraits.tsv").open(newline="", encoding="utf-8") as table:
        rows = [row for row in csv.DictReader(table, delimiter="\t") if "photo" in row.values()]
    for row in rows:
        rgb = read_image(data / "portraits" / row["name"])
        try:
            found.append(find_face(rgb, detector=detector, mesh=mesh))
        except FaceError as error:
            typer.echo(f"{row['name']}: {error}", err=True)
    return np.stack(found).astype(np.float32)


def truncated(model: HeadModel, num_shape: int, num_expression: int) -> HeadModel:
    """Return the model with its first components only."""
    return replace(
        model,
        shape_basis=model.shape_basis[..., :num_shape],
        expression_basis=model.expression_basis[..., :num_expression],
    )


def pupil_distance_px(fit: Fit) -> np.ndarray:
    """Return the distance between the pupils in space, in pixels."""
    right, left = (fit.vertices[:, index] for index in PUPILS)
    return fit.camera.scale * np.linalg.norm(right - left, axis=-1)


def relative_errors(fit: Fit) -> np.ndarray:
    """Return each face's mean error as a share of the distance between the pupils."""
    return fit.errors_px[:, :NUM_MESH].mean(axis=1) / pupil_distance_px(fit)


def report(name: str, make, landmarks: np.ndarray) -> None:
    """Print a row: errors in the picture and in space, and the time taken."""
    start = time.process_time()
    fits = make()
    taken = 1000 * (time.process_time() - start) / len(landmarks)
    errors = np.concatenate([relative_errors(fit) for fit in fits])
    pixels = np.concatenate([fit.errors_px[:, :NUM_MESH].mean(axis=1) for fit in fits])
    offsets = np.concatenate([fit.vertices_px for fit in fits]) - landmarks
    offsets[..., 2] -= offsets[..., 2].mean(axis=1, keepdims=True)
    units = np.concatenate([pupil_distance_px(fit) for fit in fits])
    in_space = (np.linalg.norm(offsets[:, :NUM_MESH], axis=-1).mean(axis=1) / units).mean()
    values = (errors.mean(), np.median(errors), errors.max(), in_space)
    cells = " | ".join(f"{100 * value:.2f} %" for value in values)
    typer.echo(f"| {name} | {cells} | {pixels.mean():.2f} | {taken:.0f} |")


if __name__ == "__main__":
    typer.run(main)
