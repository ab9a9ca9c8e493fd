"""What all feature networks share: frozen, pictures in, a list of feature maps out.

Shapes: B batch, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fnevr.errors import CheckpointError, describe_problems
from fnevr.models.checkpoint_file import read_checkpoint
from fnevr.models.perceptual.files import check_file
from fnevr.models.weights import tensor_problems


class FeatureNetwork(nn.Module):
    """Base of the networks that a perceptual loss can compare pictures with.

    Subclasses freeze themselves once their weights are in.
    """

    min_side: ClassVar[int]
    """Smallest height and width of the pictures."""

    def forward(self, image_01: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B _ _ _"]]:
        """Return the features of each tapped layer, from fine to coarse."""
        raise NotImplementedError

    def freeze(self) -> None:
        """Fix the weights; gradients still reach the pictures."""
        self.requires_grad_(False)
        self.eval()


def read_checked(path: Path, sha256: str, remedy: str) -> dict[str, object]:
    """Read a state dict that `torch.save` wrote, after checking what file it is.

    Args:
        path: the file.
        sha256: its SHA-256 in hexadecimal digits, or the first of them.
        remedy: what to do about a wrong file, for the message.

    Raises:
        CheckpointError: if the file is missing, another one, damaged, or no state dict.
    """
    check_file(path, sha256, remedy)
    return read_checkpoint(path, remedy)


def pick_tensors(
    weights: Mapping[str, object], expected: Mapping[str, Tensor], origin: str
) -> dict[str, Tensor]:
    """Take the tensors that a network needs out of a larger state dict, as float32.

    Args:
        weights: names as the file has them; tensors that are not expected are left out.
        expected: tensors of the wanted shapes by the same names.
        origin: where the weights come from, for the message.

    Raises:
        CheckpointError: listing every tensor that is missing or mis-shaped.
    """
    present = {name: weights[name] for name in expected if name in weights}
    problems = tensor_problems(expected, present)
    if problems:
        raise CheckpointError(describe_problems(origin, problems))
    return {
        name: tensor.to(torch.float32)
        for name, tensor in present.items()
        if isinstance(tensor, Tensor)
    }
