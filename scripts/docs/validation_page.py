r"""Write the page of validation tables that docs/ shows, from an evaluation.

    python scripts/docs/validation_page.py DATA EVALUATION --model first=OLD --model second=NEW \
        --out docs/lite_validation.md --sheet docs/lite_worst.jpg --sheet-tiers A

Scores that EVALUATION (the --report folder of `fnevr evaluate`) has are not computed again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from fnevr.data.cropped import read_table
from fnevr.data.manifest import Split
from fnevr.evaluate.clips import find_clips
from fnevr.evaluate.columns import BY_NAME, clip_value
from fnevr.evaluate.metrics.openness import correlation, pooled_correlation, pooled_slope
from fnevr.evaluate.plots import sheet as draw_sheet
from fnevr.evaluate.reconstruction import MOVING_BELOW_DB
from fnevr.evaluate.runner import STILL, Evaluation, EvaluationSettings, run_evaluation
from fnevr.media.image import write_image

METRICS = (
    *("l1", "psnr", "ssim", "lpips-efficientnet", "akd-mediapipe", "aed-dlib", "csim-dlib"),
    *("pose_error", "jitter", "lost"),
)
PROTOCOL = """# Models on the validation clips

Same-identity reconstruction: frame 0 is the source, every later frame is driven (absolute motion,
no crop, no paste-back, as `fnevr reconstruct`) and scored before video encoding; mean over frames,
then over clips. Frame 0 itself is not scored: repeating it would score infinity.

The 20 clips show people who are in no training clip. But the checkpoint and the shift of the
composite's mask that shipped were chosen on these same clips (`docs/decisions.md`), so the gains
below are probably somewhat larger than on clips by which nothing was chosen.

- Frames are drawn as engines draw them (before 2026-11-27, with the mask that training sees, which
  is softer and gains 0.3 dB more), from prepared clips.
- still: frame 0 repeated. Clips below 21 dB count as moving.
- What each column is, `fnevr evaluate` prints in its report (`src/fnevr/evaluate/columns.py`).
- fourth, fifth: the weights of `lite` in the order in which they shipped.
- lpips-efficientnet, aed-dlib and csim-dlib look at every 10th frame (on the pages before, at every
  5th).
- openings: Pearson's correlation of the mouth's (gap over width) and the eyes' (aspect ratio) with
  the driver's; pooled over all clips with each clip's own mean taken out, and as the mean of the
  clips' own correlations. Slope: by how much of the driver's change the output changes, pooled.

Written by `scripts/docs/validation_page.py`.
"""
NUM_WORST = 4

app = typer.Typer(add_completion=False)


@app.command()
def main(
    data: Annotated[Path, typer.Argument(help="The clips.")],
    evaluation: Annotated[Path, typer.Argument(help="The --report folder of the evaluation.")],
    model: Annotated[list[str], typer.Option(help="NAME=FOLDER; repeatable, the last is shown.")],
    split: Split = "val",
    workers: int = 2,
    every: Annotated[int, typer.Option(help="As in `fnevr evaluate`.")] = 5,
    out: Annotated[Path | None, typer.Option(help="Write the tables to this page.")] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Write the worst clips to this picture.")
    ] = None,
    sheet_tiers: Annotated[
        str, typer.Option(help="Show only clips with these values of the column `tier`.")
    ] = "",
) -> None:
    """Score what has not been scored, then write the tables and the sheet."""
    settings = EvaluationSettings(engine="torch", precision="float32", every=every)
    found = run_evaluation(data, model, evaluation, split=split, settings=settings, workers=workers)
    text = page(found)
    typer.echo(text.removeprefix(PROTOCOL))
    if out:
        out.write_text(text, encoding="utf-8")
    if sheet:
        worst = worst_clips(found, sheet_tiers)
        last = found.models[-1]
        shown = [clip for clip in find_clips(data, split) if clip.name in worst]
        one = Evaluation(**{**vars(found), "models": [last]})
        videos = [clip.load(found.side) for clip in shown]
        write_image(sheet, np.concatenate([draw_sheet(one, video, video) for video in videos]))
        typer.echo(f"{sheet}: {', '.join(clip.name for clip in shown)}")


def worst_clips(found: Evaluation, tiers: str) -> list[str]:
    """Return the clips on which the last model gains least over repeating frame 0."""
    wanted = set(filter(None, tiers.split(",")))
    names = [pair.name for pair in found.pairs]
    if wanted:
        tier = {Path(row["name"]).stem: row.get("tier", "") for row in read_table(found.data)}
        names = [name for name in names if tier[name] in wanted]
    return sorted(names, key=lambda clip: gain(found, found.models[-1].name, clip))[:NUM_WORST]


def value(found: Evaluation, name: str, clip: str, metric: str) -> float:
    """Return a model's value of a column in one clip."""
    return clip_value(found.scores[name][clip], BY_NAME[metric])


def gain(found: Evaluation, name: str, clip: str) -> float:
    """Return a model's PSNR over the still frame's, in dB."""
    return value(found, name, clip, "psnr") - value(found, STILL, clip, "psnr")


def page(found: Evaluation) -> str:
    """Write the tables in Markdown."""
    clips = [pair.name for pair in found.pairs]
    moving = [clip for clip in clips if value(found, STILL, clip, "psnr") < MOVING_BELOW_DB]
    lines = [PROTOCOL]
    for title, chosen in (
        (f"All {len(clips)} clips", clips),
        (f"The {len(moving)} moving", moving),
    ):
        lines += [f"### {title}", "", *_table(found, chosen), ""]
    lines += ["### Openings", "", *_openings(found), "", "### By clip: PSNR and gain, dB", ""]
    lines += [*_by_clip(found, moving), ""]
    return "\n".join(lines)


def _table(found: Evaluation, clips: list[str]) -> list[str]:
    some = found.scores[STILL][clips[0]].values
    columns = [BY_NAME[metric] for metric in METRICS if metric in some or metric == "lost"]
    lines = _header(["", *(column.label for column in columns), "PSNR over still", "worst clip"])
    for name in found.scores:
        cells = [name]
        for column in columns:
            values = [value(found, name, clip, column.name) for clip in clips]
            total = np.sum(values) if column.name == "lost" else np.nanmean(values)
            cells.append(f"{total:.{column.digits}f}")
        gains = [gain(found, name, clip) for clip in clips]
        lines.append(_row([*cells, f"{np.mean(gains):+.2f}", f"{min(gains):+.2f}"]))
    return lines


def _openings(found: Evaluation) -> list[str]:
    kinds = ("pooled", "mean of clips", "slope")
    lines = _header(["", *(f"{part}, {kind}" for part in ("mouth", "eyes") for kind in kinds)])
    for name, by_clip in found.scores.items():
        if name == STILL:
            continue
        cells = [name]
        for part in ("mouth", "eyes"):
            outputs = [np.array(scores.values[part]) for scores in by_clip.values()]
            drivers = [np.array(scores.values[f"driver_{part}"]) for scores in by_clip.values()]
            each = [correlation(*pair) for pair in zip(outputs, drivers, strict=True)]
            pooled, slope = (f(outputs, drivers) for f in (pooled_correlation, pooled_slope))
            cells += [f"{number:.3f}" for number in (pooled, np.nanmean(each), slope)]
        lines.append(_row(cells))
    return lines


def _by_clip(found: Evaluation, moving: list[str]) -> list[str]:
    names = [name for name in found.scores if name != STILL]
    lines = _header(["clip", "frames", STILL, *names, *(f"{name}: mouth, eyes" for name in names)])
    for clip, still in found.scores[STILL].items():
        frames = str(len(still.values["psnr"]))
        cells = [f"{clip[:3]}{' (moving)' if clip in moving else ''}", frames]
        cells.append(f"{value(found, STILL, clip, 'psnr'):.2f}")
        for name in names:
            own = value(found, name, clip, "psnr")
            cells.append(f"{own:.2f} ({gain(found, name, clip):+.2f})")
        for name in names:
            both = (value(found, name, clip, part) for part in ("mouth", "eyes"))
            cells.append(", ".join(f"{number:.2f}" for number in both))
        lines.append(_row(cells))
    return lines


def _header(cells: list[str]) -> list[str]:
    return [_row(cells), _row(["---"] * len(cells))]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    app()
