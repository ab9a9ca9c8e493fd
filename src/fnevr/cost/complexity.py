"""Parameters, multiply-adds and speed of every model, counted the same way for all.

Multiply-adds are those of convolutions and matrix products, counted by torch's own counter on
tensors without data; normalizations, activations and warps are left out, as in the field. They are
counted for one source and one driving frame, in the parts that an animation repeats or not.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

from fnevr.config.folder import CONFIG_NAME, parse_config
from fnevr.config.models import AnyConfig
from fnevr.config.presets import PRESETS, find_preset
from fnevr.cost.example import drive_example, read_example
from fnevr.errors import FnevrError
from fnevr.evaluate.published import published_tables
from fnevr.geometry.keypoints import Keypoints
from fnevr.models import ARCHITECTURES
from fnevr.models.portrait import KeypointModel, PortraitModel
from fnevr.runtime.folding import fold

NAMES = tuple(preset.name for preset in PRESETS)
GIGA, MEGA = 1e9, 1e6
EXPLAINED_FROM = 0.01  # of the paper's multiply-adds: what differs by more is explained


@dataclass(frozen=True)
class Complexity:
    """What a model costs at one size.

    Attributes:
        name: of the model.
        side: height and width, in pixels.
        parameters_m: in millions.
        source_gmacs: once per source: its keypoints and features, in 1e9 multiply-adds.
        frame_gmacs: per driving frame: its keypoints, and the picture from cached features.
        plain_gmacs: both together for one pair, every layer as the network defines it; that is what
            the paper's table counts. What is run is folded (`fnevr.runtime.folding`).
        fps: frames per second of the folded model on this machine; None if not measured.
        published: parameters, multiply-adds and frames per second in FNeVR's paper, if there.
    """

    name: str
    side: int
    parameters_m: float
    source_gmacs: float
    frame_gmacs: float
    plain_gmacs: float
    fps: float | None
    published: dict[str, float] | None


def measure_complexity(
    name: str, *, repeats: int = 3, device: torch.device | str = "cpu"
) -> Complexity:
    """Count a model's parameters and multiply-adds at its own size, and time it.

    Args:
        name: one of `NAMES`, a model's folder, or its configuration; weights are not needed.
        repeats: how often a frame is timed after a first one (the median counts); 0 for never.
        device: where it is timed.

    Raises:
        FnevrError: if there is no such model.
    """
    config = config_of(name)
    with torch.device("meta"):
        # What counts the operations cannot follow views of parameters that have gradients.
        model = ARCHITECTURES[config.architecture](config).eval().requires_grad_(False)
    image = torch.zeros(1, 3, config.image_size, config.image_size, device="meta")
    for_source, for_frame = _gmacs(fold(model), image)
    return Complexity(
        name=name,
        side=config.image_size,
        parameters_m=sum(parameter.numel() for parameter in model.parameters()) / MEGA,
        source_gmacs=for_source,
        frame_gmacs=for_frame,
        plain_gmacs=_plain_gmacs(model, image),
        fps=_frames_per_second(config, repeats, device) if repeats else None,
        published=_published(name),
    )


def config_of(name: str) -> AnyConfig:
    """Return the configuration of a model: of a preset, a folder, or a file like `config.json`.

    Raises:
        FnevrError: if there is no such model.
    """
    preset = find_preset(name)
    if preset is not None:
        return preset.config()
    path = Path(name) / CONFIG_NAME if Path(name).is_dir() else Path(name)
    if not path.is_file():
        raise FnevrError(
            f"there is no model '{name}': it is neither one of {', '.join(NAMES)} nor a folder or "
            "file with a configuration"
        )
    return parse_config(path)


def complexity_table(rows: list[Complexity]) -> str:
    """Return a table in Markdown, the paper's figures beside ours, and why one differs much."""
    header = [
        "model",
        "parameters, M",
        "paper",
        "once per source, GMAC",
        "per frame, GMAC",
        "one pair, layers as defined, GMAC",
        "paper",
        "difference",
        "frames/s here",
        "paper",
    ]
    lines = [_line(header), _line(["---", *["---:"] * (len(header) - 1)])]
    for row in rows:
        paper = row.published or {}
        theirs = paper.get("gmacs")
        lines.append(
            _line(
                [
                    row.name,
                    f"{row.parameters_m:.3f}",
                    _given(paper.get("parameters_m")),
                    f"{row.source_gmacs:.2f}",
                    f"{row.frame_gmacs:.2f}",
                    f"{row.plain_gmacs:.2f}",
                    _given(theirs),
                    "" if theirs is None else f"{100 * (row.plain_gmacs / theirs - 1):+.2f} %",
                    "" if row.fps is None else f"{row.fps:.2f}",
                    _given(paper.get("fps")),
                ]
            )
        )
    differences = [
        row.plain_gmacs / row.published["gmacs"] - 1
        for row in rows
        if row.published is not None and "gmacs" in row.published
    ]
    if any(abs(difference) > EXPLAINED_FROM for difference in differences):
        lines += ["", *(table.note for table in published_tables("complexity"))]
    return "\n".join(lines)


@torch.no_grad()
def _gmacs(model: PortraitModel, image: torch.Tensor) -> tuple[float, float]:
    """Count what a source and what a driving frame need, drawn as engines draw."""
    with FlopCounterMode(display=False) as for_source:
        encoded = read_example(model, image)
    with FlopCounterMode(display=False) as for_frame:
        model.draw(encoded, drive_example(model, image, encoded))
    source, frame = (counter.get_total_flops() / 2 / GIGA for counter in (for_source, for_frame))
    return source, frame


@torch.no_grad()
def _plain_gmacs(model: PortraitModel, image: torch.Tensor) -> float:
    """Count one pair through every layer as the network defines it.

    With the auxiliary image, but for models that engines draw in layers: these are counted so.
    """
    with FlopCounterMode(display=False) as counter:
        encoded = read_example(model, image)
        driving = drive_example(model, image, encoded)
        if isinstance(model, KeypointModel) and model.config.uses_detail:
            model.draw_layers(encoded, model.expect(driving, Keypoints))
        elif isinstance(model, KeypointModel):
            model.render(encoded, model.expect(driving, Keypoints), details=True)
        else:
            model.draw(encoded, driving)
    return counter.get_total_flops() / 2 / GIGA


@torch.inference_mode()
def _frames_per_second(config: AnyConfig, repeats: int, device: torch.device | str) -> float:
    plain: PortraitModel = ARCHITECTURES[config.architecture](config).eval().to(device)
    model = fold(plain)
    image = torch.rand(1, 3, config.image_size, config.image_size, device=device)
    encoded = read_example(model, image)
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        model.draw(encoded, drive_example(model, image, encoded))
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return 1 / median(seconds[1:])


def _published(name: str) -> dict[str, float] | None:
    preset = find_preset(name)
    if preset is None or preset.published_as is None:
        return None
    for table in published_tables("complexity"):
        row = table.rows.get(preset.published_as)
        if row is not None:
            pairs = zip(table.columns, row, strict=True)
            return {column: value for column, value in pairs if value is not None}
    return None


def _given(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
