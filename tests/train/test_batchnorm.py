from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from fnevr.train import batchnorm
from fnevr.train.batchnorm import SharedBatchNorm, share_statistics


@pytest.fixture
def alone(monkeypatch):
    """A group of one process, without a process group."""
    monkeypatch.setattr(batchnorm, "_gather", lambda own: own[None])


def two_norms(ndim, affine=True):
    kinds = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
    plain = nn.Sequential(kinds[ndim](3, affine=affine))
    if affine:
        for parameter in plain.parameters():
            nn.init.normal_(parameter)
    shared = copy.deepcopy(plain)
    share_statistics(shared)
    assert isinstance(shared[0], SharedBatchNorm)
    return plain, shared


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("affine", [True, False])
def test_one_process_normalizes_as_pytorch_does(ndim, affine, alone):
    plain, shared = two_norms(ndim, affine)
    x = torch.randn(4, 3, *(5,) * ndim) * 3 + 7
    inputs = [x.clone().requires_grad_(True) for _ in range(2)]
    outputs = [norm(value) for norm, value in zip((plain, shared), inputs, strict=True)]
    torch.testing.assert_close(outputs[1], outputs[0])
    weights = torch.randn_like(x)
    for output in outputs:
        (output * weights).sum().backward()
    torch.testing.assert_close(inputs[1].grad, inputs[0].grad, atol=1e-5, rtol=1e-4)
    state = shared.state_dict()
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(state[name], value)
    torch.testing.assert_close(shared.eval()(x), plain.eval()(x))


def test_two_processes_have_the_moments_of_both_batches(monkeypatch):
    plain, shared = two_norms(2)
    x = torch.randn(6, 3, 4, 4) + torch.arange(6.0)[:, None, None, None]
    variance, mean = torch.var_mean(x[3:], dim=(0, 2, 3), correction=0)
    other = torch.stack([mean, variance])
    monkeypatch.setattr(batchnorm, "_gather", lambda own: torch.stack([own, other]))
    torch.testing.assert_close(shared(x[:3]), plain(x)[:3])
    torch.testing.assert_close(shared[0].running_var, plain[0].running_var)


def test_names_tensors_and_mode_stay(tiny_model):
    model = copy.deepcopy(tiny_model).train()
    before = model.state_dict(keep_vars=True)
    share_statistics(model)
    after = model.state_dict(keep_vars=True)
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert norms
    assert all(isinstance(norm, SharedBatchNorm) and norm.training for norm in norms)


def test_vectors_are_refused():
    with pytest.raises(ValueError, match=r"batch of feature maps, got shape \(2, 3\)"):
        SharedBatchNorm(3)._check_input_dim(torch.zeros(2, 3))
