"""Animate portraits with one driver by relative motion and by retargeting, side by side.

    python scripts/docs/transfer_sheet.py DRIVING OUT.png PORTRAIT...

The first row shows the driver. Below, each portrait is in the first column; then come frames of
relative motion from the driver's first frame, then the same frames retargeted.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import typer

from fnevr import Animator
from fnevr.animation.face_crops import face_crops
from fnevr.animation.transfers import Transfer
from fnevr.faces.crop import crop, crop_box
from fnevr.faces.find import find_face
from fnevr.media.image import read_image, write_image
from fnevr.media.resize import resize
from fnevr.media.video import open_video

SIDE = 128
TRANSFERS: tuple[Transfer, ...] = ("relative", "retarget")


def main(driving: Path, out: Path, portraits: list[Path], columns: int = 4) -> None:
    """Write the contact sheet."""
    animator = Animator.from_pretrained("lite")
    with open_video(driving) as video:
        crops = [frame.rgb for frame in face_crops(video, SIDE)]
    chosen = np.linspace(0, len(crops) - 1, columns + 1).round().astype(int)[1:]
    shown = [crops[index] for index in chosen]
    rows = [[np.full((SIDE, SIDE, 3), 255, np.uint8), *shown, *shown]]
    for path in portraits:
        picture = read_image(path)
        row = [crop(picture, crop_box(find_face(picture)), SIDE)]
        for transfer in TRANSFERS:
            with open_video(driving) as video:
                pictures = (frame.rgb for frame in video)
                frames = animator.frames(picture, pictures, transfer=transfer, paste_back=False)
                results = dict(enumerate(frames))
            row += [resize(results[index], SIDE, SIDE) for index in chosen]
        rows.append(row)
        typer.echo(path.name)
    write_image(out, np.concatenate([np.concatenate(row, axis=1) for row in rows]))


if __name__ == "__main__":
    typer.run(main)
