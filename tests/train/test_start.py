from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from fnevr.models import ARCHITECTURES
from fnevr.train.objectives.model import OBJECTIVES
from fnevr.train.recipe_table import RECIPES, stage_of
from fnevr.train.start import new_model, saved_model, with_new_generator


def test_same_seed_gives_the_same_weights_and_leaves_the_random_state(tiny_config, patches):
    random_state = torch.get_rng_state()
    one, same, other = (new_model(tiny_config, patches, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(one[name], same[name]) for name in one)
    name = "encoder.stem.conv.weight"
    assert not torch.equal(one[name], other[name])


def test_blend_puts_patches_before_the_head_and_the_head_before_the_rest(tiny_model):
    """25 keypoints of the face: 20 patches, 4 eyelids, the head; then 2 without targets."""
    widths, biases = tiny_model.motion.log_widths.exp(), tiny_model.motion.biases
    torch.testing.assert_close(widths[:20], torch.full((20,), 0.09))
    torch.testing.assert_close(widths[20:24], torch.full((4,), 0.04))
    torch.testing.assert_close(widths[24:], torch.tensor([0.45, 0.25, 0.25]))
    assert biases.tolist() == [-5.0] + [0.0] * 24 + [-5.0, -3.0, -3.0]


def test_free_keypoints_start_at_their_anchors_whatever_the_picture(tiny_model):
    """Their heatmaps start at zero, so only the cost of leaving the anchor speaks."""
    keypoints = tiny_model.eval().keypoints(torch.rand(2, 3, 64, 64))
    free = keypoints.positions[:, 25:].detach()
    torch.testing.assert_close(free[0], free[1])
    # Symmetric about x = 0; pulled to the middle by the border in y.
    assert free[0, 0, 0].abs() < 1e-5
    assert -0.8 < free[0, 0, 1] < -0.5
    assert free[0, 1, 0] == pytest.approx(-0.5, abs=0.1)


@pytest.mark.parametrize("changes", [{"num_keypoints": 26}, {"num_free_keypoints": 3}])
def test_keypoints_that_do_not_match_the_patches_say_so(tiny_config, patches, changes):
    with pytest.raises(ValueError, match="must be 25, the number of patches"):
        new_model(tiny_config.model_copy(update=changes), patches, seed=0)


def test_too_many_free_keypoints_say_so(tiny_config, patches):
    many = tiny_config.model_copy(update={"num_keypoints": 46, "num_free_keypoints": 21})
    with pytest.raises(ValueError, match="20 at most, got 21"):
        new_model(many, patches, seed=0)


def test_saved_model_can_be_trained_further(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path / "model", half_precision=True)
    model = saved_model(tmp_path / "model").train()
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    model(torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)).image.mean().backward()
    gradient = model.get_parameter("encoder.stem.conv.weight").grad
    assert gradient is not None
    assert gradient.any()


def test_a_variant_keeps_the_motion_and_starts_the_generator_anew(tiny_model):
    variant = with_new_generator(tiny_model, {"volume_rendering": False}, seed=1)
    again = with_new_generator(tiny_model, {"volume_rendering": False}, seed=1)
    old, new = tiny_model.state_dict(), variant.state_dict()
    kept = {name for name in old if name.startswith(("detector.", "motion."))}
    assert kept
    assert all(torch.equal(old[name], new[name]) for name in kept)
    assert not any(name.startswith("renderer.") for name in new)
    assert not torch.equal(old["encoder.stem.conv.weight"], new["encoder.stem.conv.weight"])
    assert all(torch.equal(new[name], value) for name, value in again.state_dict().items())


def test_a_variant_of_the_motion_is_refused(tiny_model):
    with pytest.raises(RuntimeError, match="size mismatch"):
        with_new_generator(tiny_model, {"motion_widths": (8, 8)}, seed=0)
    with pytest.raises(ValidationError, match="no_such_field"):
        with_new_generator(tiny_model, {"no_such_field": 1}, seed=0)


def test_every_model_has_a_recipe_and_an_objective():
    for architecture in ARCHITECTURES:
        recipe = RECIPES[stage_of(architecture)]
        assert architecture in recipe.architectures
        assert recipe.stage != "motion"
    assert OBJECTIVES.keys() == RECIPES.keys()
