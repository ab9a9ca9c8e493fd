"""What the machine can do at best: multiply-adds and bytes per second, measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch
from torch.nn import functional as F

GIGA = 1e9
SIDE_CPU, SIDE_GPU = 64, 256
WIDTH = 512
BYTES_CPU, BYTES_GPU = 2**28, 2**31


def measure_ceilings(device: str) -> dict[str, float]:
    """Measure a device.

    Args:
        device: "cpu", "cuda" or "mps".

    Returns:
        G multiply-adds per second of a wide convolution, by the precisions that the device has
        (int8: of a matrix product); GB per second of a copy, read and written.
    """
    side = SIDE_CPU if device == "cpu" else SIDE_GPU
    rates = {
        name: _convolution_rate(device, side, dtype)
        for name, dtype in (
            ("float32", torch.float32),
            ("bfloat16", torch.bfloat16),
            ("float16", torch.float16),
        )
        if device != "cpu" or dtype != torch.float16
    }
    rates["int8"] = _int8_rate(device)
    size = (BYTES_CPU if device == "cpu" else BYTES_GPU) // 4
    source, target = torch.ones(size, device=device), torch.empty(size, device=device)
    rates["copy, GB/s"] = 8 * size / seconds(lambda: target.copy_(source), device) / GIGA
    return rates


@torch.inference_mode()
def _convolution_rate(device: str, side: int, dtype: torch.dtype) -> float:
    x = torch.rand(1, WIDTH, side, side, device=device, dtype=dtype)
    weight = torch.rand(WIDTH, WIDTH, 3, 3, device=device, dtype=dtype)
    x, weight = (t.contiguous(memory_format=torch.channels_last) for t in (x, weight))
    count = 9 * WIDTH * WIDTH * side * side
    return count / seconds(lambda: F.conv2d(x, weight, padding=1), device) / GIGA


def _int8_rate(device: str) -> float:
    size = 2048 if device == "cpu" else 8192
    matrix = torch.randint(-127, 127, (size, size), dtype=torch.int8, device=device)
    return size**3 / seconds(lambda: torch._int_mm(matrix, matrix), device) / GIGA


def seconds(run: Callable[[], object], device: str, repeats: int = 7) -> float:
    """Return the median time of a call, after two that do not count."""
    times = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        run()
        synchronize(device)
        times.append(time.perf_counter() - start)
    return median(times[2:])


def synchronize(device: str) -> None:
    """Wait until a device has done what it was told."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
