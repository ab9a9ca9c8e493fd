r"""Compare models with each other and with repeating the source, on the clips of a split.

    python scripts/compare_models.py DATA RESULTS --model first=OLD --model new=NEW \
        --out docs/lite_validation.md --sheet docs/lite_worst.jpg --sheet-tiers A

Each model's scores of each clip are kept in RESULTS under the hash of its weights, so that an
interrupted run goes on and a model that was scored before need not be loadable any more.
"""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from PIL import Image

from fnevr.data.clips import Clip, load_clips
from fnevr.data.manifest import Split, read_manifest
from fnevr.evaluate.comparison import (
    METRICS,
    ClipScorer,
    FrameScores,
    ResultStore,
    model_predictor,
    still_predictor,
    weights_key,
)
from fnevr.evaluate.identity import IdentityEmbedder
from fnevr.evaluate.openness import correlation, pooled_correlation, pooled_slope
from fnevr.evaluate.reconstruction import MOVING_BELOW_DB
from fnevr.media.image import write_image
from fnevr.models import PortraitModel, load_model

STILL = "still"
LABELS = {
    "l1": ("L1", 4),
    "psnr": ("PSNR, dB", 2),
    "ssim": ("SSIM", 4),
    "landmark_distance": ("landmark distance, px", 3),
    "identity_distance": ("identity distance", 4),
}
PROTOCOL = """# Models on the validation clips

Same-identity reconstruction: frame 0 is the source, every later frame is driven (absolute motion,
no crop, no paste-back, as `fnevr reconstruct`) and scored before video encoding; mean over frames,
then over clips. Frame 0 itself is not scored: repeating it would score infinity.

- still: frame 0 repeated. Clips below 21 dB count as moving.
- landmark distance: mean |x - x'| + |y - y'| over the 468 points of MediaPipe's mesh, in pixels at
  256; identity distance: Euclidean, of dlib's 128-number embedding, every fifth frame. Frames in
  which no face is found are left out of both, and counted as lost.
- openings: Pearson's correlation of the mouth's (gap over width) and the eyes' (aspect ratio) with
  the driver's; pooled over all clips with each clip's own mean taken out, and as the mean of the
  clips' own correlations. Slope: by how much of the driver's change the output changes, pooled.

Written by `scripts/compare_models.py`.
"""
NUM_WORST, SHEET_FRAMES, TILE = 4, 7, 160

Scores = dict[str, dict[str, FrameScores]]  # by predictor, then by clip

app = typer.Typer(add_completion=False)


@app.command()
def main(
    data: Annotated[Path, typer.Argument(help="A prepared folder.")],
    results: Path,
    model: Annotated[list[str], typer.Option(help="NAME=FOLDER; repeatable, the last is shown.")],
    split: Split = "val",
    workers: int = 2,
    out: Annotated[Path | None, typer.Option(help="Write the tables to this page.")] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Write the worst clips to this picture.")
    ] = None,
    sheet_tiers: Annotated[
        str, typer.Option(help="Show only clips with these values of the tag `tier`.")
    ] = "",
) -> None:
    """Score what has not been scored, then write the tables and the sheet."""
    folders = {name: Path(folder) for name, _, folder in (item.partition("=") for item in model)}
    keys = {STILL: STILL} | {
        name: weights_key(folder / "model.safetensors") for name, folder in folders.items()
    }
    clips = load_clips(data, split)
    store = ResultStore(results)
    jobs = [
        (data, split, clip.name, results, keys, folders)
        for clip in clips
        if any(store.read(key, clip.name) is None for key in keys.values())
    ]
    with ProcessPoolExecutor(workers) as pool:
        futures = [pool.submit(score_clip, *job) for job in jobs]
        for number, future in enumerate(as_completed(futures), 1):
            typer.echo(f"{number}/{len(jobs)} {future.result()}")
    scores = {
        name: {clip.name: _stored(store, key, clip.name) for clip in clips}
        for name, key in keys.items()
    }
    text = page(scores)
    typer.echo(text.removeprefix(PROTOCOL))
    if out:
        out.write_text(text, encoding="utf-8")
    if sheet:
        last = list(folders)[-1]
        tiers = {row.name: row.tags.get("tier", "") for row in read_manifest(data)}
        wanted = set(filter(None, sheet_tiers.split(",")))
        shown = [clip for clip in clips if not wanted or tiers[clip.name] in wanted]
        worst = sorted(shown, key=lambda clip: gain(scores, last, clip.name))[:NUM_WORST]
        write_image(sheet, worst_sheet(load_model(folders[last]), worst))
        typer.echo(f"{sheet}: {', '.join(clip.name for clip in worst)}")


def score_clip(
    data: Path,
    split: Split,
    name: str,
    results: Path,
    keys: dict[str, str],
    folders: dict[str, Path],
) -> str:
    """Score one clip by every predictor that has no stored result (in a process of its own)."""
    torch.set_num_threads(1)
    store = ResultStore(results)
    clip = next(clip for clip in load_clips(data, split) if clip.name == name)
    scorer = ClipScorer(clip, IdentityEmbedder())
    for predictor, key in keys.items():
        if store.read(key, name) is None:
            predict = (
                still_predictor(clip)
                if predictor == STILL
                else model_predictor(load_model(folders[predictor]), clip)
            )
            store.write(key, name, scorer.score(predict))
    return name


def gain(scores: Scores, name: str, clip: str) -> float:
    """Return a predictor's PSNR over the still frame's, in dB."""
    return scores[name][clip].mean("psnr") - scores[STILL][clip].mean("psnr")


def page(scores: Scores) -> str:
    """Write the tables in Markdown."""
    clips = list(scores[STILL])
    moving = [clip for clip in clips if scores[STILL][clip].mean("psnr") < MOVING_BELOW_DB]
    lines = [PROTOCOL]
    for title, chosen in (
        (f"All {len(clips)} clips", clips),
        (f"The {len(moving)} moving", moving),
    ):
        lines += [f"### {title}", "", *_table(scores, chosen), ""]
    lines += ["### Openings", "", *_openings(scores), "", "### By clip: PSNR and gain, dB", ""]
    lines += [*_by_clip(scores, moving), ""]
    return "\n".join(lines)


def _table(scores: Scores, clips: list[str]) -> list[str]:
    header = [
        "",
        *(LABELS[metric][0] for metric in METRICS),
        "PSNR over still",
        "worst clip",
        "lost",
    ]
    lines = [_row(header), _row(["---"] * len(header))]
    for name, by_clip in scores.items():
        cells = [name]
        for metric in METRICS:
            mean = np.nanmean([by_clip[clip].mean(metric) for clip in clips])
            cells.append(f"{mean:.{LABELS[metric][1]}f}")
        gains = [gain(scores, name, clip) for clip in clips]
        missing = sum(by_clip[clip].num_faces_missing for clip in clips)
        lines.append(_row([*cells, f"{np.mean(gains):+.2f}", f"{min(gains):+.2f}", str(missing)]))
    return lines


def _openings(scores: Scores) -> list[str]:
    kinds = ("pooled", "mean of clips", "slope")
    header = ["", *(f"{part}, {kind}" for part in ("mouth", "eyes") for kind in kinds)]
    lines = [_row(header), _row(["---"] * len(header))]
    for name, by_clip in scores.items():
        if name == STILL:
            continue
        cells = [name]
        for part in ("mouth", "eyes"):
            outputs = [np.array(getattr(s, part), dtype=float) for s in by_clip.values()]
            drivers = [
                np.array(getattr(s, f"driver_{part}"), dtype=float) for s in by_clip.values()
            ]
            each = [correlation(*pair) for pair in zip(outputs, drivers, strict=True)]
            pooled, slope = (f(outputs, drivers) for f in (pooled_correlation, pooled_slope))
            cells += [f"{value:.3f}" for value in (pooled, np.nanmean(each), slope)]
        lines.append(_row(cells))
    return lines


def _by_clip(scores: Scores, moving: list[str]) -> list[str]:
    names = [name for name in scores if name != STILL]
    header = ["clip", "frames", STILL, *names, *(f"{name}: mouth, eyes" for name in names)]
    lines = [_row(header), _row(["---"] * len(header))]
    for clip, still in scores[STILL].items():
        cells = [f"{clip[:3]}{' (moving)' if clip in moving else ''}", str(len(still.psnr))]
        cells.append(f"{still.mean('psnr'):.2f}")
        for name in names:
            cells.append(f"{scores[name][clip].mean('psnr'):.2f} ({gain(scores, name, clip):+.2f})")
        for name in names:
            s = scores[name][clip]
            mouth, eyes = (
                correlation(np.array(output, dtype=float), np.array(driver, dtype=float))
                for output, driver in ((s.mouth, s.driver_mouth), (s.eyes, s.driver_eyes))
            )
            cells.append(f"{mouth:.2f}, {eyes:.2f}")
        lines.append(_row(cells))
    return lines


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def worst_sheet(model: PortraitModel, clips: list[Clip]) -> np.ndarray:
    """Draw two rows per clip, driver over output; the source stands at the left."""
    rows = []
    for clip in clips:
        predict = model_predictor(model.eval(), clip)
        chosen = np.linspace(1, len(clip.frames) - 1, SHEET_FRAMES).round().astype(int)
        driving = np.stack([clip.frames[int(index)] for index in chosen])
        output = (predict(driving).clamp(0, 1) * 255).byte().permute(0, 2, 3, 1).numpy()
        source = np.array(clip.frames[0])
        for first, tiles in ((source, driving), (np.full_like(source, 255), output)):
            rows.append(np.concatenate([_small(tile) for tile in (first, *tiles)], axis=1))
    return np.concatenate(rows)


def _small(rgb: np.ndarray) -> np.ndarray:
    return np.array(Image.fromarray(rgb).resize((TILE, TILE), Image.Resampling.LANCZOS))


def _stored(store: ResultStore, key: str, clip: str) -> FrameScores:
    scores = store.read(key, clip)
    if scores is None:
        raise RuntimeError(json.dumps({"missing": key, "clip": clip}))
    return scores


if __name__ == "__main__":
    app()
