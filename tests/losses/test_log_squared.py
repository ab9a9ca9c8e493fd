from __future__ import annotations

import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio

from fnevr.losses import log_squared


def test_a_better_picture_gains_what_its_psnr_gains():
    target = torch.rand(1, 3, 16, 16)
    noise = torch.randn(1, 3, 16, 16)
    near, far = target + 0.1 * noise, target + 0.3 * noise
    psnr_gain = peak_signal_noise_ratio(near, target, data_range=1.0) - peak_signal_noise_ratio(
        far, target, data_range=1.0
    )
    gain = log_squared(far, target) - log_squared(near, target)
    assert gain * 10 / torch.log(torch.tensor(10.0)) == pytest.approx(float(psnr_gain), abs=0.05)


def test_each_picture_counts_by_itself():
    target = torch.zeros(2, 3, 8, 8)
    images = torch.stack([torch.full((3, 8, 8), 0.1), torch.full((3, 8, 8), 0.01)])
    expected = (torch.log(torch.tensor(1 + 0.01 / 1e-4)) + torch.log(torch.tensor(2.0))) / 2
    torch.testing.assert_close(log_squared(images, target), expected)


def test_equal_pictures_have_none_and_a_finite_gradient():
    image = torch.rand(1, 3, 8, 8, requires_grad=True)
    loss = log_squared(image, image.detach().clone())
    loss.backward()
    assert loss == 0
    assert image.grad is not None
    assert image.grad.abs().max() == 0
