"""The weights and images behind the golden arrays, as formulas of the tensors' names.

numpy never changes the stream of RandomState, so the values are the same on every release.
"""

from __future__ import annotations

import zlib
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).parent


def weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the value of a tensor of the authors' state dict, in float64."""
    stream = np.random.RandomState(zlib.crc32(name.encode()))
    noise = stream.standard_normal(prod(shape)).reshape(shape)
    leaf = name.rpartition(".")[2]
    if leaf == "running_var":
        return 1 + 0.2 * np.abs(noise)
    if leaf == "running_mean":
        return 0.05 * noise
    if leaf == "bias":
        is_jacobian = name.endswith("jacobian.bias")
        identity = np.tile(np.eye(2).ravel(), shape[0] // 4) if is_jacobian else 0.0
        return 0.05 * noise + identity
    if len(shape) < 2:
        return 1 + 0.1 * noise
    gain = {"kp.weight": 1.0, "jacobian.weight": 0.1}.get(name, 1.2)
    return gain * noise / np.sqrt(prod(shape[1:]))


def antialias_kernel(shape: tuple[int, ...]) -> np.ndarray:
    """Return the fixed Gaussian of the down-sampling by 4, which the formula leaves alone."""
    offsets = np.arange(shape[-1]) - shape[-1] // 2
    line = np.exp(-(offsets**2) / (2 * 1.5**2))
    return np.broadcast_to(np.outer(line, line) / line.sum() ** 2, shape).copy()


def image(index: int) -> Tensor:
    """Return a smooth RGB test image, (1, 3, 256, 256) in [0, 1]."""
    y, x = np.mgrid[0:256, 0:256] / 255.0
    channels = []
    for c in range(3):
        wave = np.sin(2 * np.pi * ((1 + c + index) * x + (2 - c + 0.5 * index) * y) + index + c)
        bend = np.cos(2 * np.pi * ((3 + index) * x * y + (1 + c) * (y - 0.5) ** 2 * 4) - c)
        channels.append(0.5 + 0.22 * wave + 0.22 * bend)
    return torch.from_numpy(np.clip(np.stack(channels), 0, 1)).float()[None]


def checkpoint(name: str) -> dict[str, dict[str, Tensor]]:
    """Return a checkpoint in the layout of `NAME_state_dict.tsv`, without optimizers."""
    parts: dict[str, dict[str, Tensor]] = {}
    rows = (FOLDER / f"{name}_state_dict.tsv").read_text(encoding="utf-8").splitlines()[1:]
    for row in rows:
        part, tensor_name, shape_text, _ = row.split("\t")
        shape = tuple(int(size) for size in shape_text.strip("()").split(",") if size.strip())
        if tensor_name.endswith("num_batches_tracked"):
            value = torch.zeros((), dtype=torch.int64)
        elif tensor_name.endswith("down.weight"):
            value = torch.from_numpy(antialias_kernel(shape)).float()
        else:
            value = torch.from_numpy(weight(tensor_name, shape)).float()
        parts.setdefault(part, {})[tensor_name] = value
    return parts
