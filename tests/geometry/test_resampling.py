from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from fnevr.geometry.resampling import enlarge, enlarging_matrix


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
def test_the_same_size_changes_nothing(kernel):
    image = torch.rand(2, 3, 12, 7)
    assert torch.equal(enlarge(image, 12, 7, kernel), image)


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(24, 14), (31, 50)])
def test_it_is_what_pillow_does(kernel, size):
    image = torch.rand(12, 7)
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    expected = Image.fromarray(image.numpy()).resize(size[::-1], filters[kernel])
    height, width = size
    found = enlarge(image[None, None], height, width, kernel)[0, 0]
    np.testing.assert_allclose(found, np.asarray(expected), atol=1e-5)


def test_bilinear_is_what_pytorch_does():
    image = torch.rand(2, 3, 16, 16)
    expected = torch.nn.functional.interpolate(image, size=(40, 23), mode="bilinear")
    torch.testing.assert_close(enlarge(image, 40, 23, "bilinear"), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
def test_weights_sum_to_one(kernel):
    matrix = enlarging_matrix(777, 256, kernel, torch.zeros(1))
    torch.testing.assert_close(matrix.sum(dim=1), torch.ones(777))
