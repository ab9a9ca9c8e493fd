"""Turn the heads of portraits and lay them out: a block per portrait, yaw across, pitch down.

    python scripts/docs/pose_editing_sheet.py OUT.png PORTRAIT... [--model lite]

The first row of a block shows the head turned up, the last one down.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import typer

from fnevr import Animator
from fnevr.animation.source import Framing
from fnevr.media.image import read_image, write_image
from fnevr.media.resize import resize

YAWS, PITCHES = (-30, -20, -10, 0, 10, 20, 30), (15, 0, -15)
SIDE = 256


def main(out: Path, portraits: list[Path], model: str = "lite") -> None:
    """Write the contact sheet."""
    animator = Animator.from_pretrained(model)
    rows = []
    for path in portraits:
        editor = animator.pose_editor(read_image(path), Framing(paste_back=False))
        for pitch in PITCHES:
            turned = (editor(yaw, pitch) for yaw in map(float, YAWS))
            rows.append(np.concatenate([resize(rgb, SIDE, SIDE) for rgb in turned], axis=1))
    write_image(out, np.concatenate(rows))


if __name__ == "__main__":
    typer.run(main)
