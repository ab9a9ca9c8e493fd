"""Batch normalization over the batches of all processes.

PyTorch's own `SyncBatchNorm` refuses to run on a CPU; this one runs wherever there is a process
group, so that N processes train as one does with the whole batch.

Shapes: B batch, C channels.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class SharedBatchNorm(_BatchNorm):
    """Normalizes with the moments of all processes' batches, which are of one size.

    With m_r and v_r the moments of process r: m = mean m_r and v = mean v_r + mean (m_r - m)^2.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 3:
            raise ValueError(f"expected a batch of feature maps, got shape {tuple(input.shape)}")

    def forward(self, x: Float[Tensor, "B C *space"]) -> Float[Tensor, "B C *space"]:
        """Normalize; in evaluation, by the running statistics."""
        if not self.training:
            return super().forward(x)
        self._check_input_dim(x)
        dims = [0, *range(2, x.ndim)]
        variance, mean = torch.var_mean(x.float(), dim=dims, correction=0)
        means, variances = _gather(torch.stack([mean, variance])).unbind(dim=1)
        mean = means.mean(dim=0)
        variance = variances.mean(dim=0) + (means - mean).square().mean(dim=0)
        self._remember(mean.detach(), variance.detach(), x.numel() // len(mean) * len(means))
        scale = torch.rsqrt(variance + self.eps)
        scale = scale if self.weight is None else scale * self.weight
        shift = -mean * scale if self.bias is None else self.bias - mean * scale
        shape = (1, -1) + (1,) * (x.ndim - 2)
        return (x * scale.view(shape) + shift.view(shape)).to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / max(count - 1, 1)), self.momentum)


def share_statistics(module: nn.Module) -> None:
    """Replace every batch normalization inside a module; names and tensors stay."""
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm):
            shared = SharedBatchNorm(
                child.num_features, child.eps, child.momentum, affine=child.affine
            )
            shared.weight, shared.bias = child.weight, child.bias
            shared.running_mean, shared.running_var = child.running_mean, child.running_var
            shared.num_batches_tracked = child.num_batches_tracked
            shared.training = child.training
            setattr(module, name, shared)
        else:
            share_statistics(child)


class _Gather(torch.autograd.Function):
    """Stack one tensor of every process; the gradient is summed over their losses."""

    @staticmethod
    def forward(_context: Any, own: Tensor) -> Tensor:
        rows = own.new_zeros(dist.get_world_size(), *own.shape)
        rows[dist.get_rank()] = own
        dist.all_reduce(rows)
        return rows

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return gradient[dist.get_rank()]


def _gather(own: Tensor) -> Float[Tensor, "N 2 C"]:
    gathered: Tensor = _Gather.apply(own)
    return gathered
