"""Measure whether the renderer's density follows the face: its depth against the fitted head's.

    python scripts/density_depth.py DATA --model without=FOLDER --model with=FOLDER

Clips of the split `val`, frame 0 as source, every 30th frame driven. Along each ray of the volume
the expected depth is the mean of the planes' places, weighted as in rendering; Pearson's
correlation with the head's depth, over the rays that meet its mesh, is taken in each frame. Beside
it stands the match of the volumes themselves: the cosine of sigma matching.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
import typer
from einops import rearrange
from torch import Tensor

from fnevr.data.clips import load_clips
from fnevr.face3d.camera import signed_points
from fnevr.face3d.fitting import Fit, fit_landmarks
from fnevr.face3d.head_model import HeadModel
from fnevr.face3d.mesh_feature import mesh_feature
from fnevr.face3d.raster import rasterize
from fnevr.geometry.flow import flow_to_grid, sample
from fnevr.media.arrays import to_images_01
from fnevr.models.lite import FNeVRLite
from fnevr.models.volume import ray_weights

EVERY = 30


def main(
    data: Path, model: Annotated[list[str], typer.Option(help="NAME=FOLDER; repeatable.")]
) -> None:
    """Print a row per model."""
    head = HeadModel.packaged()
    typer.echo("| | correlation of depths | frames where it is positive | cosine of volumes |")
    typer.echo("|---|---|---|---|")
    for name, _, folder in (item.partition("=") for item in model):
        scores = np.array(score(FNeVRLite.from_pretrained(folder).eval(), head, data))
        depth, cosine = scores.T
        typer.echo(
            f"| {name} | {depth.mean():.3f} | {100 * (depth > 0).mean():.0f} % | "
            f"{cosine.mean():.3f} |"
        )


@torch.inference_mode()
def score(model: FNeVRLite, head: HeadModel, data: Path) -> list[tuple[float, float]]:
    """Return correlation and cosine of every frame."""
    found = []
    for clip in load_clips(data, "val"):
        source_01 = torch.from_numpy(to_images_01([clip.frames[0]]))
        keypoints, features = model.keypoints(source_01), model.encode(source_01)
        for index in clip.tracked[clip.tracked > 0][::EVERY]:
            driving = model.keypoints(torch.from_numpy(to_images_01([clip.frames[int(index)]])))
            motion = model.motion(source_01, keypoints, driving)
            grid = flow_to_grid(motion.flow, *features.shape[-2:])
            volume, weights = volumes(model, sample(features, grid) * motion.occlusion)
            side = clip.frames.shape[1]
            landmarks_px = torch.from_numpy(clip.landmarks[index : index + 1] + 1) * (side / 2)
            fit = fit_landmarks(head, landmarks_px)
            found.append(compare(volume, weights, fit, head, side))
    return found


def volumes(model: FNeVRLite, warped: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean density feature (1, D, h, w) and the weights of the samples."""
    renderer = model.renderer
    assert renderer is not None, "the model has no volume renderer"
    density_features = renderer.density_volume(warped)
    samples = "b c d h w -> b h w d c"
    _, density = renderer.field(
        rearrange(density_features, samples),
        rearrange(renderer.color_volume(warped), samples),
    )
    return density_features.mean(dim=1), rearrange(ray_weights(density), "b h w d -> b d h w")


def compare(
    volume: Tensor, weights: Tensor, fit: Fit, head: HeadModel, side: int
) -> tuple[float, float]:
    """Return the correlation of the depths inside the face, and the volumes' cosine."""
    size = tuple(volume.shape[1:])
    target = mesh_feature(signed_points(fit.vertices_px, side, side), size)
    cosine = F.cosine_similarity(volume.flatten(1), target.flatten(1), dim=1).item()
    vertices = fit.vertices_px[0].double().numpy() * (size[1] / side)
    raster = rasterize(vertices, head.faces, size[1], size[2])
    places = (torch.arange(size[0]) + 0.5) / size[0] * 2 - 1
    depth = (weights[0] * places[:, None, None]).sum(dim=0) / weights[0].sum(dim=0).clamp(min=1e-6)
    inside = raster.is_covered
    pair = depth.double().numpy()[inside], raster.depth[inside]
    is_flat = pair[0].std() < 1e-9
    return 0.0 if is_flat else float(np.corrcoef(*pair)[0, 1]), cosine


if __name__ == "__main__":
    typer.run(main)
