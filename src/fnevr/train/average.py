"""The moving average of a model's weights: what is validated and exported."""

from __future__ import annotations

import copy
from typing import Generic

import torch

from fnevr.models.portrait import Model


class WeightAverage(Generic[Model]):
    """Exponential moving average, w <- d w + (1 - d) v with d = min(decay, (1 + n) / (10 + n)).

    The decay rises with the number n of updates, so a short run does not keep its start. Running
    statistics of batch normalizations are averaged likewise; whole numbers are copied.
    """

    def __init__(self, model: Model, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: Model, num_updates: int) -> None:
        """Move towards the weights of `model`, after `num_updates` earlier ones."""
        decay = min(self.decay, (1 + num_updates) / (10 + num_updates))
        current = model.state_dict()
        for name, mean in self.model.state_dict().items():
            if mean.is_floating_point():
                mean.lerp_(current[name], 1 - decay)
            else:
                mean.copy_(current[name])
