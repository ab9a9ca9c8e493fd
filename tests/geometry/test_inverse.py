from __future__ import annotations

import torch

from fnevr.geometry.inverse import invert, invert_2x2, invert_3x3


def test_inverse_matches_the_library_in_value_and_gradient():
    matrices = torch.randn(4, 5, 2, 2, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(invert_2x2(matrices), torch.linalg.inv(matrices))
    (ours,) = torch.autograd.grad(invert_2x2(matrices).square().sum(), matrices)
    (theirs,) = torch.autograd.grad(torch.linalg.inv(matrices).square().sum(), matrices)
    torch.testing.assert_close(ours, theirs)


def test_inverse_of_three_by_three():
    matrices = torch.randn(5, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(invert_3x3(matrices), torch.linalg.inv(matrices))
    assert torch.autograd.gradcheck(invert_3x3, (matrices,))
    assert invert_3x3(torch.zeros(3, 3)).isfinite().sum() == 0


def test_either_size_by_one_name():
    for size, written_out in ((2, invert_2x2), (3, invert_3x3)):
        matrices = torch.randn(4, size, size)
        assert torch.equal(invert(matrices), written_out(matrices))
