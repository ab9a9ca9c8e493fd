"""Pictures for a report: frames side by side, and scores over time."""

from __future__ import annotations

import base64
import io

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from fnevr.errors import FnevrError
from fnevr.evaluate.columns import BY_NAME
from fnevr.evaluate.pose_editing import TURNS_DEG
from fnevr.evaluate.runner import STILL, Evaluation, predictor_of, turner_of
from fnevr.evaluate.scorer import to_frames
from fnevr.extras import how_to_install

TILE, NUM_FRAMES, JPEG_QUALITY = 128, 7, 88
SHOWN_TURNS = [0, 2, 3, 5, 6, 9, 13]  # yaw -30, -10, 10, 30, pitch -20 and 20, roll 20
PLOTTED = ("psnr", "akd-mediapipe", "pose_error", "mouth")
FIGURE_INCHES = (10.5, 2.2)


def sheet(
    evaluation: Evaluation,
    source: UInt8[np.ndarray, "T H W 3"],
    driver: UInt8[np.ndarray, "U H W 3"],
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw the driver's frames, the source at their left, and below them those of each model.

    For pose editing there is no driver: the first row says which turns were asked for.
    """
    settings = evaluation.settings
    if settings.protocol == "pose-editing":
        return _turned_sheet(evaluation, source[0])
    # Each frame once, though the driver may have fewer.
    indices = np.unique(np.linspace(1, len(driver) - 1, NUM_FRAMES).round().astype(int))
    driving = driver[indices]
    rows = [[source[0], *driving]]
    for model in evaluation.models:
        if model.name == STILL:
            continue
        predict = predictor_of(model, source[0], driver, settings.protocol, settings.device)
        image_01 = predict(indices - 1).clamp(0, 1)
        rows.append([_label(model.name, len(source[0])), *to_frames(image_01)])
    return _grid(rows)


def _turned_sheet(
    evaluation: Evaluation, source: UInt8[np.ndarray, "H W 3"]
) -> UInt8[np.ndarray, "h w 3"]:
    turns = TURNS_DEG[SHOWN_TURNS]
    rows = [[source, *(_label(_turn_name(angles), len(source)) for angles in turns)]]
    for model in evaluation.models:
        if model.name == STILL:
            continue
        image_01 = turner_of(model, source, evaluation.settings.device)(turns).clamp(0, 1)
        rows.append([_label(model.name, len(source)), *to_frames(image_01)])
    return _grid(rows)


def _turn_name(angles_deg: Float[np.ndarray, " 3"]) -> str:
    axis = int(np.abs(angles_deg).argmax())
    return f"{('yaw', 'pitch', 'roll')[axis]} {angles_deg[axis]:+.0f}"


def _grid(rows: list[list[UInt8[np.ndarray, "H W 3"]]]) -> UInt8[np.ndarray, "h w 3"]:
    return np.concatenate([np.concatenate([_small(rgb) for rgb in row], axis=1) for row in rows])


def to_jpeg_base64(rgb: UInt8[np.ndarray, "h w 3"]) -> str:
    """Encode a picture for a page."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return base64.b64encode(buffer.getvalue()).decode()


def scores_over_time(evaluation: Evaluation, pair: str) -> str:
    """Plot some columns of one clip, one line per model, as a base64 SVG.

    Raises:
        FnevrError: if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise FnevrError(f"the report's plots need matplotlib: {how_to_install('eval')}") from error
    scores = {name: by_pair[pair] for name, by_pair in evaluation.scores.items()}
    some = next(iter(scores.values())).values
    names = [name for name in PLOTTED if name in some]
    unit = "turn" if evaluation.settings.protocol == "pose-editing" else "frame"
    figure = Figure(figsize=FIGURE_INCHES, layout="constrained")
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        for model, one in scores.items():
            is_still = model == STILL
            if is_still and name == "mouth":
                continue
            axes.plot(one.values[name], label=model, lw=1, color="0.7" if is_still else None)
        if name == "mouth":
            axes.plot(some["driver_mouth"], label="driver", lw=1, color="black", ls=":")
        axes.set_title("mouth opening" if name == "mouth" else BY_NAME[name].label, fontsize=8)
        axes.set_xlabel(unit, fontsize=7)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=6, frameon=False)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return base64.b64encode(buffer.getvalue().encode()).decode()


def _label(text: str, side: int) -> UInt8[np.ndarray, "H W 3"]:
    """Write a model's name on a white tile."""
    image = Image.new("RGB", (side, side), "white")
    size = min(side / 10, 1.7 * side / max(len(text), 1))
    ImageDraw.Draw(image).text(
        (side / 2, side / 2), text, fill="black", anchor="mm", font_size=size
    )
    return np.asarray(image)


def _small(rgb: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
    return np.array(Image.fromarray(rgb).resize((TILE, TILE), Image.Resampling.LANCZOS))
