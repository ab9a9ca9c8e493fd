"""Pairs per second that worker processes decode and augment from prepared clips, without a model.

    python benchmarks/loader.py PREPARED [--workers 2] [--cores 0,1] [--seconds 20] [--json -]

A pair is two frames of 256x256 with their landmarks: decoded, mirrored, moved, recoloured. With
`--cores` this process and its workers share those cores, as on a machine that has no more. Besides
the rate there is the processor time per pair, which depends less on what else the machine does.
Runs on Linux.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import resource
import time
from pathlib import Path
from typing import Annotated

import torch
import typer

from fnevr.data.clips import load_clips
from fnevr.data.loader import batches
from fnevr.data.pairs import PairSampler
from fnevr.geometry.patches import FacePatches

WARM_UP = 10


def main(
    prepared: Path,
    workers: int = 2,
    batch_size: int = 32,
    seconds: float = 20.0,
    cores: Annotated[str | None, typer.Option(help="Such as 0,1; default: all.")] = None,
    json_file: Annotated[str | None, typer.Option("--json")] = None,
) -> None:
    """Measure and print."""
    if cores is not None:
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    torch.set_num_threads(1)
    before = time.perf_counter()
    clips = load_clips(prepared, "train")
    opened_s = time.perf_counter() - before
    for clip in clips:
        clip.frames[0]  # finds the frames in the file, once
    sampler = PairSampler(clips, FacePatches.packaged(), seed=0)
    cpu_ms = _cpu_ms(sampler, batch_size, seconds / 4)
    loaded = batches(sampler, batch_size, first_step=0, workers=workers)
    for _ in range(WARM_UP):
        next(loaded)
    # Batches made ahead count as free: enough are drawn that they do not matter.
    cpu_before, before, num_pairs = _cpu_s(), time.perf_counter(), 0
    while time.perf_counter() < before + seconds:
        num_pairs += len(next(loaded).source_01)
    elapsed = time.perf_counter() - before
    all_cpu_ms = (_cpu_s() - cpu_before) / num_pairs * 1e3
    loaded.close()
    result = {
        "pairs_per_second": round(num_pairs / elapsed, 1),
        "workers": workers,
        "cores": sorted(os.sched_getaffinity(0)),
        "decode_and_augment_cpu_ms_per_pair": round(cpu_ms, 2),
        "all_cpu_ms_per_pair": round(all_cpu_ms, 2),
        "clips": len(clips),
        "opened_in_s": round(opened_s, 2),
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
    }
    if json_file not in (None, "-"):
        Path(str(json_file)).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    typer.echo(json.dumps(result, indent=2))


def _cpu_s() -> float:
    """Return the processor time of this process and its workers so far."""
    ticks = sum(_ticks(process.pid) for process in multiprocessing.active_children())
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int | None) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def _cpu_ms(sampler: PairSampler, batch_size: int, seconds: float) -> float:
    """Return the processor time of one pair, in this process alone."""
    start, before, num_pairs = time.perf_counter(), time.process_time(), 0
    step = 0
    while time.perf_counter() < start + seconds:
        num_pairs += len(sampler.sample_raw(batch_size, step).images)
        step += 1
    return (time.process_time() - before) / num_pairs * 1e3


if __name__ == "__main__":
    typer.run(main)
