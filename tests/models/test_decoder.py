from __future__ import annotations

import torch

from fnevr.models.decoder import Spade, SpadeBlock, SpadeDecoder


def spade_naive(layer, x, modulation):
    """Normalize each channel of each image on its own; read the map at the nearest cell."""
    factor = x.shape[-1] // modulation.shape[-1]
    fine = modulation.repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)
    hidden = layer.shared(fine).relu()
    gamma, beta = layer.gamma(hidden), layer.beta(hidden)
    out = torch.zeros_like(x)
    for b in range(x.shape[0]):
        for c in range(x.shape[1]):
            channel = x[b, c]
            normal = (channel - channel.mean()) / (channel.var(correction=0) + 1e-5).sqrt()
            out[b, c] = normal * (1 + gamma[b, c]) + beta[b, c]
    return out


def test_spade_matches_loops_in_value_and_gradient():
    layer = Spade(4, modulation_width=3, hidden_width=5).double()
    x = torch.randn(2, 4, 8, 8, dtype=torch.float64, requires_grad=True)
    modulation = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    ours, naive = layer(x, modulation), spade_naive(layer, x, modulation)
    torch.testing.assert_close(ours, naive)
    weights = torch.randn_like(ours)
    (ours_gradient,) = torch.autograd.grad((ours * weights).sum(), x)
    (naive_gradient,) = torch.autograd.grad((naive * weights).sum(), x)
    torch.testing.assert_close(ours_gradient, naive_gradient)


def test_a_silent_map_leaves_the_normalized_features():
    layer = Spade(4, modulation_width=3, hidden_width=5)
    for parameter in (*layer.gamma.parameters(), *layer.beta.parameters()):
        torch.nn.init.zeros_(parameter)
    out = layer(torch.randn(1, 4, 16, 16), torch.randn(1, 3, 16, 16))
    torch.testing.assert_close(out.mean(dim=(2, 3)), torch.zeros(1, 4), atol=1e-6, rtol=0)
    torch.testing.assert_close(
        out.var(dim=(2, 3), correction=0), torch.ones(1, 4), rtol=1e-3, atol=0
    )


def test_block_changes_the_width():
    block = SpadeBlock(6, 4, modulation_width=3, hidden_width=5)
    assert block(torch.randn(2, 6, 8, 8), torch.randn(2, 3, 4, 4)).shape == (2, 4, 8, 8)


def test_decoder_doubles_as_often_as_asked():
    decoder = SpadeDecoder(8, (8, 4, 4), num_ups=2, modulation_width=3, spade_width=5)
    image = decoder(torch.randn(2, 8, 4, 6))
    assert image.shape == (2, 3, 16, 24)
    assert 0 < image.min() < image.max() < 1
