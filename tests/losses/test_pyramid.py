from __future__ import annotations

import pytest
import torch

from fnevr.losses import pyramid_l1


def pyramid_naive(image, target, levels):
    """The same mean, one pooled pixel at a time."""
    height, width = image.shape[-2:]
    total = image.new_zeros(())
    for level in range(levels):
        step = 2**level
        errors = []
        for i in range(0, height, step):
            for j in range(0, width, step):
                block = (..., slice(i, i + step), slice(j, j + step))
                difference = image[block].mean((2, 3)) - target[block].mean((2, 3))
                errors.append(difference.abs().mean())
        total += torch.stack(errors).mean()
    return total / levels


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_matches_loops(levels):
    image, target = torch.rand(2, 2, 3, 16, 8, dtype=torch.float64)
    torch.testing.assert_close(
        pyramid_l1(image, target, levels), pyramid_naive(image, target, levels)
    )


def test_equal_pictures_cost_nothing_and_a_constant_costs_itself():
    image = torch.rand(1, 3, 8, 8)
    assert pyramid_l1(image, image, 3) == 0
    torch.testing.assert_close(pyramid_l1(image + 0.25, image, 3), torch.tensor(0.25))


def test_a_checkerboard_vanishes_at_the_second_level():
    board = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 2.0 - 1
    image = board.expand(1, 1, 8, 8)
    assert pyramid_l1(image, torch.zeros_like(image), 4) == 0.25


@pytest.mark.parametrize(("size", "levels"), [((8, 12), 4), ((9, 8), 2), ((8, 8), 0)])
def test_size_that_does_not_divide_says_so(size, levels):
    image = torch.rand(1, 3, *size)
    with pytest.raises(ValueError, match=f"got {levels} levels at {size[0]} x {size[1]}"):
        pyramid_l1(image, image, levels)


def test_gradcheck():
    image = torch.rand(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    target = image.detach() + torch.randn_like(image)
    assert torch.autograd.gradcheck(lambda x: pyramid_l1(x, target, 3), image)
