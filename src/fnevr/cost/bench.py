"""Speed of a model on the engines that are here, against the plain loop of the authors' code.

All variants run in turns, round after round, so that a machine that slows down slows all of them;
what counts is medians. The first row is the plain loop: PyTorch, layer by layer, every stage as it
is defined, the source encoded anew for each frame.

Shapes: B frames per call.
"""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from fnevr.config.engines import ENGINES, GRAPH_ENGINES, PRECISIONS, EngineName, Precision
from fnevr.config.presets import resolve_model
from fnevr.cost.ceilings import GIGA, measure_ceilings, synchronize
from fnevr.cost.complexity import config_of
from fnevr.cost.example import drive_example, example_face, read_example
from fnevr.data.clips import Clip
from fnevr.errors import CheckpointError, FnevrError
from fnevr.geometry.driving import Driving
from fnevr.geometry.keypoints import Keypoints
from fnevr.media.files import partial_folder
from fnevr.models import ARCHITECTURES, load_model
from fnevr.models.encoded_source import EncodedSource, SourceFace
from fnevr.models.portrait import KeypointModel, PortraitModel
from fnevr.progress import Progress
from fnevr.runtime.export import write_graphs
from fnevr.runtime.folding import fold
from fnevr.runtime.graphs import has_graphs
from fnevr.runtime.load import load_engine
from fnevr.runtime.quantize import Calibration
from fnevr.versions import versions

PLAIN = "plain loop"
WARM_UPS = 2


@dataclass
class Row:
    """One way to run the model.

    Attributes:
        engine: what runs it; "plain loop" for the authors' way.
        precision: of its numbers.
        batch: frames per call.
        load_s: seconds until it can run, the first frame included.
        keypoints_ms: per frame, the driving keypoints; 0 for models that are told of faces.
        draw_ms: per frame, the picture (in the plain loop with the encoding of the source).
        fps: frames per second of both.
        speedup: over the plain loop of batch 1, of medians.
        gmacs_per_s: multiply-adds of the folded model per second, in 1e9 (the plain loop: of the
            plain one).
        share: `gmacs_per_s` over what the machine can do at best in this precision.
        psnr_db: PSNR of the picture against the plain model's; None for equal pictures.
        max_levels: largest difference from the plain model's picture, in levels of 255.
    """

    engine: str
    precision: str
    batch: int
    load_s: float = 0.0
    keypoints_ms: float = 0.0
    draw_ms: float = 0.0
    fps: float = 0.0
    speedup: float = 1.0
    gmacs_per_s: float = 0.0
    share: float | None = None
    psnr_db: float | None = None
    max_levels: float = 0.0


@dataclass
class Bench:
    """All that was measured.

    Attributes:
        model: its name.
        has_weights: False if they were drawn at random, for the sake of the times alone.
        device: where it ran.
        threads: how many threads PyTorch and the engines used.
        plain_gmacs: multiply-adds of a frame of the plain loop, in 1e9.
        folded_gmacs: those of a folded frame.
        ceilings: see `measure_ceilings`.
        rows: the variants, the plain loop first.
        missing: engines that could not be had here, and why.
        machine: processor, and graphics card if used.
        versions: of the packages.
    """

    model: str
    has_weights: bool
    device: str
    threads: int
    plain_gmacs: float
    folded_gmacs: float
    ceilings: dict[str, float]
    rows: list[Row]
    missing: dict[str, str]
    machine: str
    versions: dict[str, str] = field(default_factory=versions)

    def as_dict(self) -> dict[str, object]:
        """Return everything as plain values."""
        return asdict(self)


@dataclass
class _Variant:
    row: Row
    keypoints: Callable[[], Driving]
    draw: Callable[[Driving], np.ndarray | Tensor]
    times: list[tuple[float, float]] = field(default_factory=list)


@torch.inference_mode()
def bench(
    name: str,
    engines: Sequence[EngineName] = ENGINES,
    precisions: Sequence[Precision] = PRECISIONS,
    batches: Sequence[int] = (1,),
    device: str = "cpu",
    repeats: int = 7,
    progress: Progress | None = None,
) -> Bench:
    """Time a model.

    Args:
        name: a preset or folder. Of a preset without weights, they are drawn at random.
        engines: which to try.
        precisions: which to try.
        batches: frames per call.
        device: "cpu", "cuda" or "mps".
        repeats: rounds.
        progress: is told what is done.

    Raises:
        FnevrError: if there is no such model.
    """
    with _folder(name, set(engines) & set(GRAPH_ENGINES), "int8" in precisions, progress) as (
        folder,
        has_weights,
    ):
        model = load_model(folder, device)
        variants = [_plain_variant(model, device, batch) for batch in batches]
        missing: dict[str, str] = {}
        for engine in engines:
            for precision in precisions:
                try:
                    for batch in batches:
                        variants.append(_variant(model, folder, engine, precision, device, batch))
                except FnevrError as error:
                    missing[f"{engine}, {precision}"] = str(error).splitlines()[0]
        _compare(variants, {batch: _reference(model, device, batch) for batch in batches})
        for index in range(repeats):
            if progress is not None:
                progress("timing", index, repeats)
            for variant in variants:
                _time(variant, device)
    plain_gmacs, folded_gmacs = _gmacs(model.cpu())
    ceilings = measure_ceilings(device)
    _finish(variants, plain_gmacs, folded_gmacs, ceilings)
    return Bench(
        model=name,
        has_weights=has_weights,
        device=device,
        threads=torch.get_num_threads(),
        plain_gmacs=plain_gmacs,
        folded_gmacs=folded_gmacs,
        ceilings=ceilings,
        rows=[variant.row for variant in variants],
        missing=missing,
        machine=machine_name(device),
    )


def default_device() -> str:
    """Return "cuda" if there is some, otherwise "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def machine_name(device: str) -> str:
    """Return what the processor, or the graphics card, calls itself."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.processor()


def bench_table(result: Bench) -> str:
    """Return tables in Markdown."""
    lines = [
        f"{result.model} on {result.machine} ({result.device}, {result.threads} threads)"
        + ("" if result.has_weights else "; weights drawn at random"),
        "",
        "| engine | precision | batch | load, s | keypoints, ms | draw, ms | frames/s | speed-up | "
        "GMAC/s | of the ceiling | PSNR from plain, dB | largest difference, levels |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in result.rows:
        psnr = "" if row.psnr_db is None else f"{row.psnr_db:.1f}"
        share = "" if row.share is None else f"{100 * row.share:.0f} %"
        lines.append(
            f"| {row.engine} | {row.precision} | {row.batch} | {row.load_s:.2f} | "
            f"{row.keypoints_ms:.2f} | {row.draw_ms:.2f} | {row.fps:.1f} | {row.speedup:.2f} | "
            f"{row.gmacs_per_s:.0f} | {share} | {psnr} | {row.max_levels:.3f} |"
        )
    lines += ["", "| ceiling, measured | |", "|---|---|"]
    for name, rate in result.ceilings.items():
        unit = "" if "GB/s" in name else ", GMAC/s"
        lines.append(f"| {name}{unit} | {rate:.0f} |")
    lines.append(f"| a frame, plain / folded, GMAC | {result.plain_gmacs:.2f} / ")
    lines[-1] += f"{result.folded_gmacs:.2f} |"
    lines += ["", *(f"not here: {name}: {why}" for name, why in result.missing.items())]
    return "\n".join(lines).rstrip()


@contextmanager
def _folder(
    name: str, graph_engines: set[EngineName], wants_int8: bool, progress: Progress | None
) -> Iterator[tuple[Path, bool]]:
    """Find a model's folder, or make one with what it lacks: weights, graphs."""
    try:
        folder, has_weights = resolve_model(name), True
    except CheckpointError:
        config = config_of(name)
        torch.manual_seed(0)
        model, has_weights = ARCHITECTURES[config.architecture](config).eval(), False
    else:
        is_complete = has_graphs(folder, "float32") and (
            not wants_int8 or has_graphs(folder, "int8")
        )
        model = load_model(folder)
        if not graph_engines or is_complete or model.config.why_no_graphs:
            yield folder, has_weights
            return
    with partial_folder(Path(tempfile.gettempdir()) / "fnevr-bench") as temporary:
        copy = temporary / "model"
        model.save_pretrained(copy)
        if graph_engines and isinstance(model, KeypointModel) and not model.config.why_no_graphs:
            noise = [_noise(model.config.image_size)]
            clips = Calibration(noise, noise) if wants_int8 else None
            with torch.inference_mode(mode=False):
                write_graphs(model, copy, clips, progress)
        yield copy, has_weights


def _noise(side: int) -> Clip:
    """Return a clip that only fixes ranges of eight-bit numbers, for times without meaning."""
    frames = np.random.default_rng(0).integers(0, 255, (8, side, side, 3), np.uint8)
    return Clip("noise", "nobody", 0.0, frames, np.zeros((8, 478, 2), np.float32))


def _pictures(side: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a smooth source and driving images, in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(batch + 1, 3, side // 8, side // 8, generator=generator)
    smooth = torch.nn.functional.interpolate(
        pictures, size=(side, side), mode="bicubic", align_corners=False
    ).clamp(0, 1)
    return smooth[:1].numpy(), smooth[1:].numpy()


def _plain_variant(model: PortraitModel, device: str, batch: int) -> _Variant:
    """Return the loop of the authors' code, which encodes the source anew for each frame."""
    source_01, driving_01 = (
        torch.from_numpy(images).to(device) for images in _pictures(model.config.image_size, batch)
    )
    source = read_example(model, source_01)

    def draw(driving: Driving) -> Tensor:
        frames = [driving[index : index + 1] for index in range(len(driving))]
        return torch.cat([_drawn_anew(model, source, frame) for frame in frames])

    return _Variant(
        Row(PLAIN, "float32", batch), lambda: drive_example(model, driving_01, source), draw
    )


def _drawn_anew(model: PortraitModel, source: EncodedSource, driving: Driving) -> Tensor:
    """Draw a frame as the authors' code does, which encodes the source anew for each."""
    if isinstance(model, KeypointModel):
        keypoints = model.expect(driving, Keypoints)
        return model.generate(source.image_01, source.keypoints, keypoints).image
    return model.draw(read_example(model, source.image_01), driving)


def _variant(
    model: PortraitModel,
    folder: Path,
    engine: EngineName,
    precision: Precision,
    device: str,
    batch: int,
) -> _Variant:
    start = time.perf_counter()
    runner = load_engine(folder, device, engine, precision)
    source_01, driving_01 = _pictures(runner.config.image_size, batch)
    face = example_face(model, torch.from_numpy(source_01))
    told = None if face is None else SourceFace(face.own.numpy(), face.person_01.numpy())
    source = runner.read_source(source_01, face=told)

    def drive() -> Driving:
        if isinstance(model, KeypointModel):
            return runner.driving_keypoints(driving_01, source)
        return drive_example(model, torch.from_numpy(driving_01), source).numpy()

    variant = _Variant(
        Row(engine, precision, batch), drive, lambda driving: runner.draw(source, driving)
    )
    variant.draw(variant.keypoints())
    variant.row.load_s = time.perf_counter() - start
    return variant


def _reference(model: PortraitModel, device: str, batch: int) -> np.ndarray:
    """Draw what all engines should: the plain model's picture, composed as engines do it."""
    source_01, driving_01 = (
        torch.from_numpy(images).to(device) for images in _pictures(model.config.image_size, batch)
    )
    source = read_example(model, source_01)
    driving = drive_example(model, driving_01, source)
    frames = [model.draw(source, driving[index : index + 1]) for index in range(batch)]
    return torch.cat(frames).float().cpu().numpy()


def _compare(variants: list[_Variant], references: dict[int, np.ndarray]) -> None:
    """Warm the variants up, and set each engine's picture against that of its batch."""
    for variant in variants:
        for _ in range(WARM_UPS):
            picture = variant.draw(variant.keypoints())
        row = variant.row
        if row.engine == PLAIN:
            continue
        assert isinstance(picture, np.ndarray)
        difference = picture - references[row.batch]
        row.max_levels = 255 * float(np.abs(difference).max())
        mean_square = float(np.square(difference).mean())
        row.psnr_db = None if mean_square == 0 else -10 * float(np.log10(mean_square))


def _time(variant: _Variant, device: str) -> None:
    """Time one frame; one before it brings the variant's own data back into the caches."""
    variant.draw(variant.keypoints())
    synchronize(device)
    start = time.perf_counter()
    driving = variant.keypoints()
    synchronize(device)
    middle = time.perf_counter()
    variant.draw(driving)
    synchronize(device)
    variant.times.append((middle - start, time.perf_counter() - middle))


def _finish(
    variants: list[_Variant], plain_gmacs: float, folded_gmacs: float, ceilings: dict[str, float]
) -> None:
    """Turn times into what the rows tell."""
    for variant in variants:
        row = variant.row
        keypoints_s, draw_s = (
            median(times) / row.batch for times in zip(*variant.times, strict=True)
        )
        row.keypoints_ms, row.draw_ms = 1e3 * keypoints_s, 1e3 * draw_s
        row.fps = 1 / (keypoints_s + draw_s)
        row.speedup = row.fps / variants[0].row.fps
        gmacs = plain_gmacs if row.engine == PLAIN else folded_gmacs
        row.gmacs_per_s = gmacs * row.fps
        if row.precision in ceilings:
            row.share = row.gmacs_per_s / ceilings[row.precision]


def _gmacs(model: PortraitModel) -> tuple[float, float]:
    """Count a frame of the plain loop, and what the folded model's networks do for one."""
    source_01, driving_01 = map(torch.from_numpy, _pictures(model.config.image_size, 1))
    source = read_example(model, source_01)
    with FlopCounterMode(display=False) as plain:
        _drawn_anew(model, source, drive_example(model, driving_01, source))
    folded_model = fold(model)
    with FlopCounterMode(display=False) as cheap:
        driving = drive_example(folded_model, driving_01, source)
        if isinstance(folded_model, KeypointModel):
            folded_model.draw_layers(source, folded_model.expect(driving, Keypoints))
        else:
            folded_model.draw(source, driving)
    return plain.get_total_flops() / 2 / GIGA, cheap.get_total_flops() / 2 / GIGA
