"""Animate several portraits with one driver and lay out frames of it side by side.

    python scripts/docs/cross_identity_sheet.py DRIVING OUT.png PORTRAIT... [--model lite]

The first row shows the driver as it is cropped, the first column the sources as they are cropped.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import typer

from fnevr import Animator
from fnevr.animation.face_crops import face_crops
from fnevr.faces.crop import crop, crop_box
from fnevr.faces.find import find_face
from fnevr.media.image import read_image, write_image
from fnevr.media.resize import resize
from fnevr.media.video import open_video


def main(
    driving: Path, out: Path, portraits: list[Path], model: str = "lite", columns: int = 8
) -> None:
    """Write the contact sheet."""
    animator = Animator.from_pretrained(model)
    size = animator.engine.config.image_size
    with open_video(driving) as video:
        crops = [frame.rgb for frame in face_crops(video, size)]
    chosen = np.linspace(0, len(crops) - 1, columns).round().astype(int)
    rows = [[np.full((size, size, 3), 255, np.uint8), *(crops[index] for index in chosen)]]
    for path in portraits:
        picture = read_image(path)
        face = crop(picture, crop_box(find_face(picture)), size)
        with open_video(driving) as video:
            frames = animator.frames(picture, (frame.rgb for frame in video), paste_back=False)
            results = dict(enumerate(frames))
        rows.append([face, *(resize(results[index], size, size) for index in chosen)])
        typer.echo(f"{path.name}: {len(results)} frames")
    write_image(out, np.concatenate([np.concatenate(row, axis=1) for row in rows]))


if __name__ == "__main__":
    typer.run(main)
