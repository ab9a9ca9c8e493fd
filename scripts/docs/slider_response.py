"""Measure what drawn faces do when sliders ask for it, for `docs/retargeting.md`.

    python scripts/docs/slider_response.py [PICTURE ...]

Draws each portrait with each slider at several positions, and measures the drawn face by the
landmark model: change asked for against change found, over all portraits. Cross-talk is the largest
change of another slider's measure, both in units of 1 of their sliders.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from jaxtyping import Float

from fnevr.animation.edit import PoseEditor
from fnevr.animation.head_turn import HeadTurn
from fnevr.animation.retargeting import Retargeting
from fnevr.animation.sliders import DEVIATIONS, MEASURED, WIDEST_LIPS, FaceSliders, measures
from fnevr.config.presets import asset, resolve_model
from fnevr.face3d.face_fit import FaceFit, slopes
from fnevr.face3d.performance import SHUT_EYE, eye_openings, lip_gap
from fnevr.faces.detector import FaceDetector
from fnevr.faces.find import find_face
from fnevr.faces.landmarks import FaceMesh
from fnevr.media.image import Picture, read_image
from fnevr.runtime.engine import Engine
from fnevr.runtime.load import load_engine

NAMES = (*MEASURED, "mouth_open", "blink_left", "blink_right")
POSITIONS = dict.fromkeys(NAMES, (-1.0, -0.5, 0.5, 1.0)) | {
    "blink_left": (0.25, 0.5, 0.75, 1.0),
    "blink_right": (0.25, 0.5, 0.75, 1.0),
}


def main(
    pictures: Annotated[list[Path] | None, typer.Argument(help="None: the bundled one.")] = None,
) -> None:
    """Print the table."""
    engine = load_engine(resolve_model("lite"))
    rows = []
    for path in pictures or [Path(str(asset("portrait.jpg")))]:
        rows += list(responses(engine, read_image(path)))
    typer.echo("| slider | response (correlation) | cross-talk |\n|---|---|---|")
    for index, name in enumerate(NAMES):
        own = [row for row in rows if row[0] == name]
        asked = np.array([row[1] for row in own])
        found = np.array([row[2] for row in own])
        slope = asked @ found[:, index] / (asked @ asked)
        correlation = np.corrcoef(asked, found[:, index])[0, 1]
        others = np.abs(asked @ found / (asked @ asked)) / abs(slope)
        others[index] = 0
        most = int(others.argmax())
        talk = f"{others[most]:.2f}, {NAMES[most]}"
        typer.echo(f"| {name} | {slope:.2f} ({correlation:.2f}) | {talk} |")


def responses(
    engine: Engine, picture: Picture
) -> Iterator[tuple[str, float, Float[np.ndarray, " M"]]]:
    """Give sliders, how much each was to do, and how far all measures moved, in units of 1."""
    assert engine.turn is not None, "lite has a pose editor"
    editor = PoseEditor(engine, engine.turn, picture)
    rest, units = measured(editor.turned(HeadTurn())), units_of(editor.retarget)
    for name in NAMES:
        for position in POSITIONS[name]:
            drawn = editor.turned(HeadTurn(), FaceSliders(**{name: position}))
            asked = position
            if name == "mouth_open" and position < 0:
                asked *= float(editor.retarget.own.lips[0, 0]) / WIDEST_LIPS
            yield name, asked, (measured(drawn) - rest) / units


def measured(picture: Picture) -> Float[np.ndarray, " M"]:
    """Measure a drawn face, in the order of `NAMES`."""
    landmarks = find_face(picture, None, FaceDetector(2), FaceMesh(2))
    fit = FaceFit()
    fit.update(landmarks / (len(picture) / 2))
    face = fit.at_rest
    return np.array([*measures(face), lip_gap(face), *eye_openings(face)])


def units_of(retarget: Retargeting) -> Float[np.ndarray, " M"]:
    """Return by how much 1 of each slider changes its measure."""
    matrix = slopes(measures, retarget.still, retarget.fit.basis.expression_basis)
    lids = -retarget.own.eyes[0] * (retarget.open_eyes - SHUT_EYE)
    return np.array([*(DEVIATIONS * np.linalg.norm(matrix, axis=1)), WIDEST_LIPS, *lids])


if __name__ == "__main__":
    typer.run(main)
