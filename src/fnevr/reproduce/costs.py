"""What the paper's systems cost, measured once and kept in a file for each."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from fnevr.cost.bench import machine_name
from fnevr.cost.complexity import Complexity, measure_complexity
from fnevr.evaluate.columns import Column
from fnevr.evaluate.published import NOT_MEASURED
from fnevr.media.files import atomic_path, make_folder
from fnevr.progress import Progress
from fnevr.reproduce.systems import NAMES
from fnevr.runtime.load import check_device

STAGE = "costs"
FILE = "{preset}-{device}.json"
COST_COLUMNS = (
    Column(
        "gmacs",
        "GMAC",
        "lower",
        3,
        "Multiply-adds of one source and one driving frame in 1e9, every layer as defined.",
    ),
    Column("parameters_m", "parameters, M", "lower", 3, "In millions."),
    Column(
        "fps",
        "frames/s",
        "higher",
        3,
        "One frame at a time, the driver's keypoints included, the source read before.",
    ),
)


def measure_costs(
    out: Path, device: str | None, progress: Progress, *, repeats: int = 3
) -> dict[str, Complexity]:
    """Measure all systems of the paper; weights are not needed.

    Args:
        out: gets a file per system; what is there is not measured again.
        device: where a frame is timed; None takes CUDA if there is some.
        progress: is told after every system.
        repeats: how often a frame is timed; 0 for never.
    """
    make_folder(out)
    where = check_device(device)
    costs = read_costs(out, device)
    progress(STAGE, len(costs), len(NAMES))
    for name, preset in NAMES.items():
        if name in costs:
            continue
        costs[name] = measure_complexity(preset.name, repeats=repeats, device=where)
        with atomic_path(out / FILE.format(preset=preset.name, device=where)) as temporary:
            text = json.dumps(asdict(costs[name]), indent=1)
            temporary.write_text(text + "\n", encoding="utf-8")
        progress(STAGE, len(costs), len(NAMES))
    return costs


def read_costs(out: Path, device: str | None) -> dict[str, Complexity]:
    """Return what was measured before; a file that cannot be read counts as none."""
    where = check_device(device)
    costs = {}
    for name, preset in NAMES.items():
        try:
            text = (out / FILE.format(preset=preset.name, device=where)).read_text(encoding="utf-8")
            costs[name] = Complexity(**json.loads(text))
        except (OSError, ValueError, TypeError):
            continue
    return costs


def cost_texts(costs: dict[str, Complexity]) -> dict[str, list[str]]:
    """Return by system a text per column of the paper's table of costs."""
    return {
        name: [
            f"{cost.plain_gmacs:.3f}",
            f"{cost.parameters_m:.3f}",
            NOT_MEASURED if cost.fps is None else f"{cost.fps:.3f}",
        ]
        for name, cost in costs.items()
    }


def timed_on(device: str | None) -> str:
    """Return what the machine that times frames calls itself."""
    return machine_name(check_device(device))
