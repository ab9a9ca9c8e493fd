"""Half precision where it is safe: inside the convolutional networks of a model.

Keypoints and flows stay float32: the eight significant bits of bfloat16 would place a keypoint only
to half a pixel of 256. So do the networks of PIRender and Bilayer that say where to look, and what
those are given; of Bilayer that leaves nothing which runs for every frame.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from fnevr.models.portrait import KeypointModel, PortraitModel

# Of models that are told of faces: what draws, or embeds, without saying where to look.
DRAWING = {"editing", "identity", "enhancer"}


def run_networks_in(model: PortraitModel, dtype: torch.dtype) -> None:
    """Run the networks of a model in bfloat16 or float16; what they return is float32 again."""
    for name, part in model.named_children():
        if isinstance(model, KeypointModel):
            networks = list(part.children()) if name in {"detector", "motion"} else [part]
        else:
            networks = [part] if name in DRAWING else []
        for network in networks:
            _run_in(network, dtype)


def _run_in(part: nn.Module, dtype: torch.dtype) -> None:
    forward = part.forward

    def in_half_precision(*arguments: Any, **options: Any) -> Any:
        device = arguments[0].device.type
        with torch.autocast(device, dtype=dtype):
            return _to_float(forward(*arguments, **options))

    part.forward = in_half_precision


def _to_float(output: Any) -> Any:
    if isinstance(output, Tensor):
        return output.float()
    if isinstance(output, tuple | list):
        return type(output)(_to_float(part) for part in output)
    if is_dataclass(output) and not isinstance(output, type):
        parts = {part.name: _to_float(getattr(output, part.name)) for part in fields(output)}
        return replace(output, **parts)
    return output
