r"""Draw reconstructed heads for `docs/head_model.md`: picture, mesh over it, mesh turned.

    python scripts/docs/head_model_sheet.py \
        OUT.jpg IMAGE ... [--clip CLIP.mp4 ...]

The last row shows the model itself: at rest, jaw open, and its first components of identity and
expression at 2.5 standard deviations.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from fnevr.animation.contact_sheet import contact_sheet
from fnevr.face3d.camera import WeakPerspective
from fnevr.face3d.fitting import NUM_MESH, Fit, fit_landmarks
from fnevr.face3d.head_model import HeadModel, HeadParameters
from fnevr.face3d.raster import normal_map, overlay_picture, rasterize
from fnevr.faces.crop import crop, crop_box
from fnevr.faces.find import find_face
from fnevr.media.image import read_image, write_image
from fnevr.media.video import open_video

SIDE, TURN_DEG = 224, 45.0
FRAME_OF_CLIP = 100


def main(
    out: Path,
    images: Annotated[list[Path] | None, typer.Argument(help="Pictures.")] = None,
    clip: Annotated[list[Path] | None, typer.Option(help="A frame of a video.")] = None,
) -> None:
    """Write the sheet."""
    model = HeadModel.packaged()
    pictures = [read_image(path) for path in images or []] + [frame_of(p) for p in clip or []]
    rows: list[list[np.ndarray]] = [[], [], []]
    for rgb in pictures:
        box = crop_box(find_face(rgb))
        face = crop(rgb, box, SIDE)
        landmarks = find_face(face)[None].astype(np.float32)
        fit = fit_landmarks(model, landmarks)
        angles = fit.angles_deg[0].tolist()
        error = fit.errors_px[:, :NUM_MESH].mean().item()
        typer.echo(f"{[round(a) for a in angles]} degrees, {error:.2f} px of {SIDE}")
        rows[0].append(face)
        rows[1].append(drawn(model, fit.vertices_px[0], face))
        rows[2].append(turned(model, fit))
    model_row = [drawn_head(model, parameters) for parameters in examples(model, len(pictures))]
    tiles = [tile for row in [*rows, model_row] for tile in row]
    write_image(out, contact_sheet(tiles, len(pictures), SIDE))


def frame_of(path: Path) -> np.ndarray:
    """Return a frame of a video."""
    with open_video(path) as video:
        for index, frame in enumerate(video):
            if index == FRAME_OF_CLIP:
                return frame.rgb
    raise typer.BadParameter(f"'{path}' has no frame {FRAME_OF_CLIP}")


def drawn(model: HeadModel, vertices_px: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """Lay a mesh over a picture."""
    vertices, faces = vertices_px.astype(np.float64), model.faces
    raster = rasterize(vertices, faces, *rgb.shape[:2])
    return overlay_picture(rgb, raster, normal_map(raster, vertices, faces), opacity=0.8)


def turned(model: HeadModel, fit: Fit) -> np.ndarray:
    """Draw the mesh from the side, on white."""
    pose = np.zeros_like(fit.parameters.pose)
    pose[:, 2:] = fit.parameters.pose[:, 2:]
    pose[:, 0, 1] = math.radians(TURN_DEG)
    return drawn_head(model, HeadParameters(fit.parameters.shape, fit.parameters.expression, pose))


def drawn_head(model: HeadModel, parameters: HeadParameters) -> np.ndarray:
    """Draw a head on white, in the middle."""
    vertices = model(parameters).vertices
    middle = (vertices[0].min(axis=0) + vertices[0].max(axis=0))[:2] / 2
    scale = 0.72 * SIDE / 0.18
    shift = SIDE / 2 - scale * middle * np.array([1.0, -1.0])
    seen = WeakPerspective(np.array([scale]), shift[None]).project(vertices)
    return drawn(model, seen[0], np.full((SIDE, SIDE, 3), 255, np.uint8))


def examples(model: HeadModel, count: int) -> list[HeadParameters]:
    """Return the rest pose, an open jaw, and components of identity and expression in turn."""
    heads = [model.neutral(), model.neutral()]
    heads[1].pose[0, 2, 0] = 0.35
    for index in range(count - 2):
        head = model.neutral()
        part = head.shape if index % 2 == 0 else head.expression
        part[0, index // 2] = 2.5
        heads.append(head)
    return heads[:count]


if __name__ == "__main__":
    typer.run(main)
