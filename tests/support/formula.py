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
    noise *= gain
    noise /= np.sqrt(prod(shape[1:]))
    return noise


def adapted(system: str, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return `weight` with the few changes that keep a system's outputs informative."""
    value = weight(name, shape)
    if system == "bilayer":
        return value * bilayer_factor(name, shape)
    if system == "fnevr-dense":
        if name.endswith("nerf_module.layer3_1.weight"):
            return 1.5 * (value - value.mean())
        if name.endswith("nerf_module.layer3_1.bias"):
            return value + 0.9
        if name.endswith("nerf_module.layer6.weight"):
            return 4 * value
        if name.endswith("mini_decoder.2.norm.bias"):
            return value + 1
    return value


def bilayer_factor(name: str, shape: tuple[int, ...]) -> float:
    """Return what Bilayer's tensors are multiplied by, so that its texture is not saturated."""
    leaf = name.rpartition(".")[2]
    unit = float(np.sqrt(prod(shape[1:])) / 1.2)
    if leaf == "gen_tex_input":
        return unit
    if leaf == "pixel_feats":
        return 0.3 * unit * min(1, 64 / shape[-1])
    if leaf == "bias" and name.startswith(("prj_", "net.mlp.")):
        return 0.1
    is_first = name.startswith("gen_inf.blocks.0.block_feats.0.")
    factors = {
        ("gen_inf.", "running_var"): 0.001 if is_first else 0.35,
        ("gen_inf.", "running_mean"): 0.05 if is_first else 0.5,
        ("gen_tex.", "running_var"): 1.5,
    }
    return next((f for (net, end), f in factors.items() if name.startswith(net) and leaf == end), 1)


def spectral_vectors(kernel: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Return u and v after one step of the power iteration, far from the singular vectors."""
    matrix = kernel.flatten(1)
    v = torch.nn.functional.normalize(matrix.T @ start, dim=0)
    return torch.nn.functional.normalize(matrix @ v, dim=0), v


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
    layout = name.removesuffix("-dense")
    rows = (FOLDER / f"{layout}_state_dict.tsv").read_text(encoding="utf-8").splitlines()[1:]
    for row in rows:
        part, tensor_name, shape_text, _ = row.split("\t")
        shape = tuple(int(size) for size in shape_text.strip("()").split(",") if size.strip())
        tensors = parts.setdefault(part, {})
        tensors[tensor_name] = tensor(tensor_name, shape, name)
        # Face vid2vid-S and DaGAN were given the formula's own vectors.
        if name == "bilayer" and tensor_name.endswith(".weight_v"):
            stem = tensor_name.removesuffix("_v")
            vectors = spectral_vectors(tensors[f"{stem}_orig"], tensors[f"{stem}_u"])
            tensors[f"{stem}_u"], tensors[f"{stem}_v"] = vectors
    if name.startswith("dagan"):
        for part, shapes in (
            ("depth_encoder", depth_encoder()),
            ("depth_decoder", depth_decoder()),
        ):
            parts[part] = {key: tensor(key, shape) for key, shape in shapes.items()}
    return parts


def num_parameters(tensors: dict[str, Tensor]) -> int:
    """Count the parameters of one part of a checkpoint; buffers are told by their names."""
    statistics = ("running_mean", "running_var", "num_batches_tracked", "weight_u", "weight_v")
    buffers = (*statistics, "down.weight", "identity_grid")
    return sum(value.numel() for name, value in tensors.items() if not name.endswith(buffers))


def tensor(name: str, shape: tuple[int, ...], system: str = "") -> Tensor:
    """Return a tensor of a checkpoint."""
    if name.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    if name == "identity_grid":
        places = (2 * torch.arange(shape[1]) + 1) / shape[1] - 1
        return torch.stack(torch.meshgrid(places, places, indexing="xy"), dim=-1)[None]
    if name.endswith("down.weight"):
        return torch.from_numpy(antialias_kernel(shape)).float()
    return torch.from_numpy(adapted(system, name, shape)).float()


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


def coefficients(index: int) -> Tensor:
    """Return a window of 3DMM coefficients, (1, 73, 27)."""
    c, t = np.mgrid[0:73, 0:27].astype(float)
    size = np.select([c < 64, c < 67, c < 70], [0.8, 0.4, 0.5], 1.2)
    window = size * np.sin(0.7 * c + 0.11 * (1 + c % 4) * (t - 13) + 1.3 * index)
    return torch.from_numpy(window).float()[None]


def landmarks(index: int) -> np.ndarray:
    """Return 68 landmarks in iBUG's order, (68, 2) in [-1, 1], in float64."""

    def arc(count, middle, size, ends, *, closed=False):
        angle = np.deg2rad(np.linspace(ends[0], ends[1], count, endpoint=not closed))
        return np.stack([np.cos(angle), -np.sin(angle)], axis=1) * size + middle

    opened, below, round_ = 0.02 + 0.03 * index, (180, 360), (180, -180)
    bridge = np.stack([np.zeros(4), np.linspace(-0.18, 0.12, 4)], axis=1)
    points = np.concatenate(
        [
            arc(17, (0.0, -0.05), (0.56, 0.62), below),
            arc(5, (-0.27, -0.30), (0.17, 0.07), (160, 20)),
            arc(5, (0.27, -0.30), (0.17, 0.07), (160, 20)),
            bridge,
            arc(5, (0.0, 0.18), (0.12, 0.04), below),
            arc(6, (-0.26, -0.16), (0.10, 0.05), round_, closed=True),
            arc(6, (0.26, -0.16), (0.10, 0.05), round_, closed=True),
            arc(12, (0.0, 0.36), (0.22, 0.07 + opened), round_, closed=True),
            arc(8, (0.0, 0.36), (0.15, 0.01 + opened), round_, closed=True),
        ]
    )
    turn = 0.037 + 0.11 * index
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return (1 + 0.04 * index) * points @ rotation.T + [0.013 + 0.05 * index, 0.017 - 0.03 * index]


def mask(index: int) -> Tensor:
    """Return a soft mask of the person, (1, 1, 256, 256) in [0, 1]."""
    y, x = np.mgrid[0:256, 0:256] / 127.5 - 1
    middle = landmarks(index).mean(axis=0)
    distance = np.sqrt(((x - middle[0]) / 0.7) ** 2 + ((y - middle[1]) / 0.9) ** 2)
    return torch.from_numpy(1 / (1 + np.exp(20 * (distance - 1)))).float()[None, None]
