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

FOLDER = Path(__file__).parents[1] / "golden"


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
    gain = {"kp.weight": 1.0, "jacobian.weight": 0.1}.get(".".join(name.split(".")[-2:]), 1.2)
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
    """Return a checkpoint in the layout of `NAME_state_dict.tsv`, without optimizers.

    DaGAN's has its depth network too, which the authors keep in files of their own.
    """
    parts: dict[str, dict[str, Tensor]] = {}
    rows = (FOLDER / f"{name}_state_dict.tsv").read_text(encoding="utf-8").splitlines()[1:]
    for row in rows:
        part, tensor_name, shape_text, _ = row.split("\t")
        shape = tuple(int(size) for size in shape_text.strip("()").split(",") if size.strip())
        parts.setdefault(part, {})[tensor_name] = tensor(tensor_name, shape)
    if name.startswith("dagan"):
        for part, shapes in (
            ("depth_encoder", depth_encoder()),
            ("depth_decoder", depth_decoder()),
        ):
            parts[part] = {key: tensor(key, shape) for key, shape in shapes.items()}
    return parts


def tensor(name: str, shape: tuple[int, ...]) -> Tensor:
    """Return a tensor of a checkpoint."""
    if name.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    if name.endswith("down.weight"):
        return torch.from_numpy(antialias_kernel(shape)).float()
    return torch.from_numpy(weight(name, shape)).float()


def depth_encoder() -> dict[str, tuple[int, ...]]:
    """Return names and shapes of a ResNet-18 without classifier, as torchvision calls them."""
    shapes = {"encoder.conv1.weight": (64, 3, 7, 7)} | _norm("encoder.bn1", 64)
    for layer, (before, after) in enumerate(((64, 64), (64, 128), (128, 256), (256, 512)), 1):
        for block, width in ((0, before), (1, after)):
            stem = f"encoder.layer{layer}.{block}"
            shapes |= {f"{stem}.conv1.weight": (after, width, 3, 3)} | _norm(f"{stem}.bn1", after)
            shapes |= {f"{stem}.conv2.weight": (after, after, 3, 3)} | _norm(f"{stem}.bn2", after)
            if width != after:
                shapes[f"{stem}.downsample.0.weight"] = (after, width, 1, 1)
                shapes |= _norm(f"{stem}.downsample.1", after)
    return shapes


def depth_decoder() -> dict[str, tuple[int, ...]]:
    """Return names and shapes of Monodepth2's decoder."""
    widths = [
        *((512, 256), (256 + 256, 256), (256, 128), (128 + 128, 128), (128, 64), (64 + 64, 64)),
        *((64, 32), (32 + 64, 32), (32, 16), (16, 16)),
    ]
    shapes: dict[str, tuple[int, ...]] = {}
    for index, (before, after) in enumerate(widths):
        shapes[f"decoder.{index}.conv.conv.weight"] = (after, before, 3, 3)
        shapes[f"decoder.{index}.conv.conv.bias"] = (after,)
    for index, width in enumerate((16, 32, 64, 128), len(widths)):
        shapes[f"decoder.{index}.conv.weight"] = (1, width, 3, 3)
        shapes[f"decoder.{index}.conv.bias"] = (1,)
    return shapes


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    leaves = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{leaf}": (width,) for leaf in leaves} | {f"{name}.num_batches_tracked": ()}
