"""Measure pose editing: commanded angles against those of heads fitted to the outputs.

    python scripts/evaluate_pose_editor.py DATA [PICTURE ...] --out docs/pose_editing.md

Sources are the first frames of the clips of the split `val` of a prepared folder, and pictures. The
outputs' angles come from landmarks found in them and the head model fitted to those; the editor
has no part in it. Angles are compared with those found in the source.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from fnevr import Animator
from fnevr.animation.edit import AXES, HeadTurn
from fnevr.animation.source import Framing
from fnevr.data.clips import load_clips
from fnevr.errors import FaceError
from fnevr.evaluate.metrics.embedding_distance import embedding_distance
from fnevr.evaluate.networks.dlib_face import DlibEmbedder
from fnevr.evaluate.protocols import Picture
from fnevr.face3d.fitting import Fit, fit_landmarks
from fnevr.face3d.head_model import JOINT_NAMES, HeadModel
from fnevr.face3d.raster import rasterize
from fnevr.faces.find import find_face
from fnevr.geometry.rotations import head_rotations
from fnevr.media.image import read_image

RANGE_DEG = {"yaw": 30, "pitch": 20, "roll": 20}
STEP_DEG, NEAR_DEG, IDENTITY_YAW = 5, 20, 15
NECK = JOINT_NAMES.index("neck")


@dataclass
class Measured:
    """Of one source: commanded angle, axis and the measured changes; identity distances."""

    name: str
    rows: list[tuple[int, float, tuple[float, float, float]]] = field(default_factory=list)
    lost: int = 0
    identity: list[tuple[float, float]] = field(default_factory=list)  # edited, mesh
    milliseconds: list[float] = field(default_factory=list)


def main(
    data: Path,
    pictures: list[Path] = typer.Argument(None),  # noqa: B008 - typer's way
    model: str = "lite",
    out: Annotated[Path | None, typer.Option(help="Write the page here.")] = None,
    workers: int = 2,
) -> None:
    """Measure every source, then print the tables."""
    clips = [(str(data), clip.name) for clip in load_clips(data, "val")]
    sources = clips + [(str(path), "") for path in pictures or []]
    with ProcessPoolExecutor(workers) as pool:
        found = list(pool.map(measure, sources, [model] * len(sources)))
    text = page([one for one in found if one.rows])
    typer.echo(text)
    if out is not None:
        out.write_text(text, encoding="utf-8")


def measure(source: tuple[str, str], model: str) -> Measured:
    """Turn one source by all angles (in a process of its own)."""
    torch.set_num_threads(1)
    path, clip_name = source
    if clip_name:
        picture = next(c for c in load_clips(Path(path), "val") if c.name == clip_name).frames[0]
    else:
        picture = read_image(path)
    found = Measured(clip_name or Path(path).name)
    animator, head, embedder = Animator.from_pretrained(model), HeadModel.packaged(), None
    framing = Framing(crop=not clip_name, paste_back=False)
    editor = animator.pose_editor(picture, framing)
    try:
        view = np.asarray(editor.turned(HeadTurn()))
        before, landmarks = fitted(head, view)
    except FaceError:
        return found
    embedder = DlibEmbedder()
    own = embedder.embed(view, landmarks)
    for axis, angle in commands():
        start = time.perf_counter()
        output = editor.turned(HeadTurn(**{AXES[axis]: angle}))
        found.milliseconds.append(1000 * (time.perf_counter() - start))
        try:
            after, landmarks = fitted(head, output)
        except FaceError:
            found.lost += 1
            continue
        yaw, pitch, roll = (after.angles_deg - before.angles_deg)[0].tolist()
        found.rows.append((axis, angle, (yaw, pitch, roll)))
        if AXES[axis] == "yaw" and abs(angle) == IDENTITY_YAW:
            edited = embedding_distance(embedder.embed(output, landmarks), own)
            warped = turned_texture(head, before, view, angle)
            try:
                mesh = embedding_distance(embedder.embed(warped, fitted(head, warped)[1]), own)
            except FaceError:
                mesh = float("nan")
            found.identity.append((edited, mesh))
    return found


def commands() -> Iterator[tuple[int, float]]:
    """Give each axis and angle."""
    for axis, name in enumerate(AXES):
        reach = RANGE_DEG[name]
        for angle in range(-reach, reach + 1, STEP_DEG):
            yield axis, float(angle)


def fitted(head: HeadModel, rgb: Picture) -> tuple[Fit, np.ndarray]:
    """Fit the head model to the picture's face."""
    landmarks = find_face(rgb)
    return fit_landmarks(head, torch.tensor(landmarks, dtype=torch.float32).unsqueeze(0)), landmarks


def turned_texture(head: HeadModel, fit: Fit, view: Picture, yaw: float) -> Picture:
    """Draw the fitted mesh, turned about the neck, with the source's own texture over the view."""
    source = fit.vertices_px[0].double().numpy()
    neck = fit.camera.project(head(fit.parameters).joints[:, NECK : NECK + 1])[0, 0].double()
    joints = torch.cat((head(fit.parameters).joints[:, NECK : NECK + 1], fit.vertices), dim=1)
    seen = fit.camera.project(joints)[0].double().numpy()
    neck = np.array([*seen[0, :2], seen[0, 2]])
    flip = np.diag([1.0, -1.0, -1.0])
    turn = flip @ head_rotations(torch.tensor([yaw, 0.0, 0.0])).double().numpy() @ flip
    moved = (seen[1:] - neck) @ turn.T + neck
    faces = head.faces.numpy()
    raster = rasterize(moved, faces, *view.shape[:2])
    rows, columns = np.nonzero(raster.is_covered)
    corners = source[faces[raster.triangles[rows, columns]], :2]
    places = (corners * raster.weights[rows, columns][..., None]).sum(axis=1) - 0.5
    x, y = np.clip(places.round().astype(int), 0, [view.shape[1] - 1, view.shape[0] - 1]).T
    result = view.copy()
    result[rows, columns] = view[y, x]
    return result


def page(found: list[Measured]) -> str:
    """Write the tables in Markdown."""
    rows = [row for one in found for row in one.rows]
    axis = np.array([row[0] for row in rows])
    commanded = np.array([row[1] for row in rows])
    changes = np.array([row[2] for row in rows])
    lines = [
        f"{len(found)} sources; a face was lost in {sum(one.lost for one in found)} of "
        f"{len(rows) + sum(one.lost for one in found)} outputs.",
        "",
        "| | slope within 20 degrees | slope, all | at the ends | correlation | other axes, mean |",
        "|---|---|---|---|---|---|",
    ]
    for index, name in enumerate(AXES):
        chosen = axis == index
        x, y = commanded[chosen], changes[chosen, index]
        near, ends = np.abs(x) <= NEAR_DEG, np.abs(x) == RANGE_DEG[name]
        slopes = [
            float(x[part] @ y[part] / (x[part] @ x[part])) for part in (near, near | True, ends)
        ]
        others = np.abs(np.delete(changes[chosen], index, axis=1)).mean(axis=0)
        correlation = np.corrcoef(x, y)[0, 1]
        cells = [name, *(f"{slope:.3f}" for slope in slopes), f"{correlation:.4f}"]
        lines.append(f"| {' | '.join(cells)} | {others[0]:.2f}, {others[1]:.2f} |")
    identity = np.array([pair for one in found for pair in one.identity])
    milliseconds = np.median(np.concatenate([one.milliseconds for one in found]))
    lines += [
        "",
        f"Identity distance to the source at {IDENTITY_YAW} degrees of yaw: "
        f"{np.nanmean(identity[:, 0]):.3f}; the mesh's texture alone: "
        f"{np.nanmean(identity[:, 1]):.3f}.",
        f"Median time of one edit with one thread, other work beside: {milliseconds:.0f} ms.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
