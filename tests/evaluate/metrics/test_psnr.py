from __future__ import annotations

import pytest
import torch

from fnevr.evaluate.metrics.psnr import MAX_PSNR_DB, psnr


@pytest.mark.parametrize(("error", "decibels"), [(1.0, 0.0), (0.1, 20.0), (0.01, 40.0)])
def test_constant_error(error, decibels):
    image = torch.zeros(2, 3, 8, 8)
    torch.testing.assert_close(psnr(image + error, image), torch.full((2,), decibels))


def test_half_of_the_values_off_is_3_db_better():
    image = torch.zeros(1, 3, 8, 8)
    half = image.clone()
    half[:, :, ::2] = 0.1
    assert psnr(half, image).item() == pytest.approx(20 + 10 * torch.log10(torch.tensor(2.0)))


def test_identical_pictures_score_what_no_visible_difference_reaches():
    image = torch.rand(1, 3, 256, 256)
    off = image.clone()
    off[0, 0, 0, :2] = (off[0, 0, 0, :2] - 1 / 255).abs()
    assert psnr(image, image).item() == MAX_PSNR_DB
    assert 95 < psnr(off, image).item() < MAX_PSNR_DB


def test_every_picture_has_its_own():
    image = torch.zeros(3, 1, 4, 4)
    target = torch.tensor([0.0, 0.1, 1.0])[:, None, None, None].expand_as(image)
    assert psnr(image, target).tolist() == pytest.approx([MAX_PSNR_DB, 20.0, 0.0])
