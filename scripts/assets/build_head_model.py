"""Build `assets/head/model.safetensors`, the open head model, from landmarks of talking heads.

    python scripts/assets/build_head_model.py DATA OUT.safetensors [--landmarks CACHE.npz]

DATA holds `clips.tsv` and `clips/`; only training clips are used, 24 frames of each, mirrored too.
Faces are aligned by their rigid part. Jaw opening and gaze are taken out first; then the identity
basis is the PCA of the people's mean faces, the expression basis that of what is left of the
frames. Metres come from the iris, whose diameter is 11.7 mm in nearly everybody. Needs scipy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from head_mesh import (
    IRISES,
    LOWER_LIP,
    NUM_MESH,
    UPPER_LIP,
    jaw_weights,
    joint_regressor,
    opening_field,
    skinning_weights,
    triangulate,
)
from safetensors.torch import load_file, save_file

from fnevr.config.presets import asset
from fnevr.data.cropped import read_table
from fnevr.faces.detector import FaceDetector
from fnevr.faces.landmarks import FaceMesh
from fnevr.faces.tracker import FaceTracker
from fnevr.media.files import atomic_path
from fnevr.media.video import open_video

FRAMES_PER_CLIP, FRAMES_PER_PERSON = 24, 48
NUM_SHAPE, NUM_EXPRESSION = 60, 50
IRIS_DIAMETER = 0.0117  # metres
MAX_TURN = np.deg2rad(35)
TO_MODEL = np.array([1.0, -1.0, -1.0])  # picture (y down, z away) to model frame
MIRROR_X = np.array([-1.0, 1.0, 1.0])


def main(
    data: Path,
    out: Path,
    landmarks: Annotated[Path | None, typer.Option(help="Cache of the landmarks found.")] = None,
) -> None:
    """Write the head model, and say how much its bases explain."""
    rows = [row for row in read_table(data) if row["split"] == "train"]
    found = cached_landmarks(data, rows, landmarks)
    canonical = load_file(asset("face_patches.safetensors"))
    mirror = canonical["mirror"].numpy()
    start = canonical["canonical"].numpy().astype(np.float64) * TO_MODEL

    people: dict[str, list[np.ndarray]] = {}
    for row in rows:
        people.setdefault(row["identity"], []).append(found[row["name"]] * TO_MODEL)
    frames = aligned_people([np.concatenate(clips) for clips in people.values()], start)
    tensors, report = build(frames, mirror)
    with atomic_path(out) as temporary:
        save_file(tensors, temporary)
    typer.echo(report)


def cached_landmarks(
    data: Path, rows: list[dict[str, str]], cache: Path | None
) -> dict[str, np.ndarray]:
    """Return the landmarks (T, 478, 3) of each clip, in pixels."""
    if cache is not None and cache.is_file():
        with np.load(cache) as stored:
            return {row["name"]: stored[row["name"]].astype(np.float64) for row in rows}
    detector, mesh = FaceDetector(num_threads=1), FaceMesh(num_threads=1)
    found = {}
    for row in rows:
        tracker = FaceTracker(detector=detector, mesh=mesh)
        step = max(1, int(row["frames"]) // FRAMES_PER_CLIP)
        shapes = []
        with open_video(data / "clips" / row["name"]) as video:
            for index, frame in enumerate(video):
                face = tracker.update(frame.rgb) if index % step == 0 else None
                if face is not None and face.status != "held":
                    shapes.append(face.landmarks)
        found[row["name"]] = np.array(shapes, np.float64).reshape(-1, 478, 3)
        typer.echo(f"{row['name']}: {len(shapes)} faces", err=True)
    if cache is not None:
        np.savez(cache, **found)
    return found


def similarity(
    points: np.ndarray, target: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the points moved onto the target (weighted Umeyama), and the rotation."""
    share = weights / weights.sum()
    centred = points - share @ points
    goal = target - share @ target
    u, singular, vt = np.linalg.svd((centred * share[:, None]).T @ goal)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = u * signs @ vt
    scale = (singular * signs).sum() / (share @ np.square(centred).sum(axis=-1))
    return scale * centred @ rotation + share @ target, rotation


def aligned_people(people: list[np.ndarray], start: np.ndarray) -> list[np.ndarray]:
    """Align all faces by the points that move least, leave turned heads out, scale to metres."""
    mean, weights = start, np.ones(478)
    for _ in range(4):
        frames, spread = [], []
        for shapes in people:
            moved = [similarity(shape, mean, weights) for shape in shapes]
            kept = [face for face, turn in moved if np.arccos((np.trace(turn) - 1) / 2) < MAX_TURN]
            if len(kept) >= 5:
                frames.append(np.stack(kept))
                spread.append(frames[-1].var(axis=0).sum(axis=-1))
        variance = np.mean(spread, axis=0)
        weights = np.median(variance) / (variance + 0.2 * np.median(variance))
        weights[NUM_MESH:] = 0
        mean = np.mean([person.mean(axis=0) for person in frames], axis=0)
        mean = similarity(mean, start, weights)[0]
    diameters = [
        np.linalg.norm(mean[iris[a], :2] - mean[iris[b], :2])
        for iris in IRISES.values()
        for a, b in ((1, 3), (2, 4))
    ]
    scale = IRIS_DIAMETER / np.mean(diameters)
    centre = mean[:NUM_MESH].mean(axis=0)
    return [(person - centre) * scale for person in frames]


def build(people: list[np.ndarray], mirror: np.ndarray) -> tuple[dict[str, torch.Tensor], str]:
    """Return the tensors of the model, and a report."""
    template = np.mean([person.mean(axis=0) for person in people], axis=0)
    template = (template + (template * MIRROR_X)[mirror]) / 2
    faces = triangulate(template)
    offsets = [person - person.mean(axis=0) for person in people]
    weights, angles = jaw_weights(np.concatenate(offsets), template, faces, mirror)
    opening = weights[:, None] * opening_field(template)
    ends = np.cumsum([len(person) for person in people])[:-1]
    neutral, residuals = [], []
    for person, about_mean in zip(people, np.split(angles, ends), strict=True):
        # At angle 0 the lips of the person's mean face touch.
        gap = person[:, UPPER_LIP, 1] - person[:, LOWER_LIP, 1]
        opened = about_mean + gap.mean() / (opening[UPPER_LIP, 1] - opening[LOWER_LIP, 1])
        rest = person - opened[:, None, None] * opening
        neutral.append(rest.mean(axis=0))
        difference = rest - neutral[-1]
        difference[:, NUM_MESH:] = 0  # irises turn with the eyes
        picks = np.linspace(0, len(rest) - 1, min(len(rest), FRAMES_PER_PERSON)).astype(int)
        residuals.append(difference[picks])
    template = np.mean(neutral, axis=0)
    template = (template + (template * MIRROR_X)[mirror]) / 2
    shape, shape_share = principal(np.stack(neutral) - template, mirror, NUM_SHAPE)
    expression, expression_share = principal(np.concatenate(residuals), mirror, NUM_EXPRESSION)
    tensors = {
        "template": template,
        "shape_basis": shape,
        "expression_basis": expression,
        "pose_basis": np.zeros((478, 3, 0)),
        "joint_regressor": joint_regressor(template),
        "skinning_weights": skinning_weights(weights),
    }
    stored = {name: torch.tensor(array, dtype=torch.float16) for name, array in tensors.items()}
    stored["faces"] = torch.tensor(faces, dtype=torch.int16)
    return stored, describe(people, faces, shape_share, expression_share)


def principal(offsets: np.ndarray, mirror: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return components (478, 3, count) of one standard deviation each, and variance explained."""
    both = np.concatenate([offsets, (offsets * MIRROR_X)[:, mirror]])
    _, singular, rows = np.linalg.svd(both.reshape(len(both), -1), full_matrices=False)
    share = np.cumsum(np.square(singular)) / np.square(singular).sum()
    scaled = rows[:count] * singular[:count, None] / np.sqrt(len(both))
    return np.ascontiguousarray(scaled.T).reshape(478, 3, count), share


def describe(
    people: list[np.ndarray], faces: np.ndarray, shape: np.ndarray, expression: np.ndarray
) -> str:
    """Say what the model was made of, and the share of the variance by number of components."""
    lines = [f"{len(people)} people, {sum(map(len, people))} frames, {len(faces)} triangles"]
    for name, share in (("shape", shape), ("expression", expression)):
        shares = [f"{n}: {share[n - 1]:.4f}" for n in (5, 10, 20, 30, 40, 50, 60)]
        lines.append(f"{name}: {', '.join(shares)}")
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
