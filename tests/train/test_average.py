from __future__ import annotations

import torch

from fnevr.train.average import WeightAverage


def test_follows_the_weights_with_a_decay_that_rises_to_its_bound(tiny_model):
    average = WeightAverage(tiny_model, decay=0.5)
    expected = 0.0
    with torch.no_grad():
        tiny_model.motion.biases.zero_()
        average.model.motion.biases.zero_()
        for count, value in enumerate((1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)):
            tiny_model.motion.biases.fill_(value)
            average.update(tiny_model, count)
            decay = min(0.5, (1 + count) / (10 + count))
            expected = decay * expected + (1 - decay) * value
    torch.testing.assert_close(
        average.model.motion.biases, torch.full_like(tiny_model.motion.biases, expected)
    )


def test_statistics_are_averaged_and_counts_copied(tiny_model):
    average = WeightAverage(tiny_model, decay=0.9)
    tiny_model.train()(torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64))
    average.update(tiny_model, 1000)
    name = "encoder.stem.norm.running_mean"
    mean, live = average.model.state_dict()[name], tiny_model.state_dict()[name]
    torch.testing.assert_close(mean, 0.1 * live)
    counts = average.model.state_dict()["encoder.stem.norm.num_batches_tracked"]
    assert counts == tiny_model.state_dict()["encoder.stem.norm.num_batches_tracked"] == 1


def test_the_average_is_ready_for_inference_and_shares_nothing(tiny_model):
    average = WeightAverage(tiny_model.train(), decay=0.9)
    assert not average.model.training
    assert not any(parameter.requires_grad for parameter in average.model.parameters())
    mine = {parameter.data_ptr() for parameter in average.model.parameters()}
    assert not mine & {parameter.data_ptr() for parameter in tiny_model.parameters()}
