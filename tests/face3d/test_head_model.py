from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import smplx
import torch
from support.flame_files import random_arrays, write

from fnevr.face3d import HeadModel, HeadParameters

TOLERANCE = 1e-5


def reference_layer(folder, content, num_bases):
    """Make smplx's FLAME of a random file; the landmark embedding it wants is not used."""
    path = write(folder / "FLAME_NEUTRAL.pkl", content)
    embedding = {"lmk_face_idx": np.zeros(1, np.int64), "lmk_b_coords": np.ones((1, 3)) / 3}
    (folder / "flame_static_embedding.pkl").write_bytes(pickle.dumps(embedding))
    counts = (300, 100) if num_bases == 400 else (10, 10)
    layer = smplx.FLAME(
        str(folder), num_betas=counts[0], num_expression_coeffs=counts[1], create_transl=False
    )
    return path, layer


def random_parameters(model):
    pose = torch.randn(3, 5, 3) * 0.4
    return [torch.randn(3, model.num_shape), torch.randn(3, model.num_expression), pose]


@pytest.mark.parametrize("seed", range(20))
def test_equals_smplx_in_values_and_gradients(seed, tmp_path):
    torch.manual_seed(seed)
    num_bases = 400 if seed < 15 else 20
    path, layer = reference_layer(tmp_path, random_arrays(seed, num_bases), num_bases)
    model = HeadModel.from_file(path)
    ours = [p.requires_grad_() for p in random_parameters(model)]
    theirs = [p.detach().clone().requires_grad_() for p in ours]

    head = model(HeadParameters(*ours))
    shape, expression, pose = theirs
    expected = layer(
        betas=shape,
        expression=expression,
        global_orient=pose[:, 0],
        neck_pose=pose[:, 1],
        jaw_pose=pose[:, 2],
        leye_pose=pose[:, 3],
        reye_pose=pose[:, 4],
    )
    expected_joints = expected.joints[:, :5]
    torch.testing.assert_close(head.vertices, expected.vertices, rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(head.joints, expected_joints, rtol=0, atol=TOLERANCE)

    weights = torch.randn_like(head.vertices), torch.randn_like(head.joints)
    ((head.vertices * weights[0]).sum() + (head.joints * weights[1]).sum()).backward()
    loss = (expected.vertices * weights[0]).sum() + (expected_joints * weights[1]).sum()
    loss.backward()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-5, atol=TOLERANCE)


@pytest.fixture
def model(tmp_path):
    return HeadModel.from_file(write(tmp_path / "flame.pkl", random_arrays(0, 20)))


def test_neutral_parameters_give_the_template(model):
    head = model(model.neutral(2))
    np.testing.assert_allclose(head.vertices, np.stack([model.template] * 2), atol=1e-7)


def test_fewer_coefficients_are_the_first_ones(model):
    shape, expression = torch.randn(2, 10), torch.randn(2, 10)
    shape[:, 4:] = 0
    expression[:, 3:] = 0
    torch.testing.assert_close(
        model.shaped(shape[:, :4], expression[:, :3]), model.shaped(shape, expression)
    )


def test_a_batch_equals_its_parts(model):
    parts = HeadParameters(*random_parameters(model))
    head = model(parts)
    for i in range(3):
        one = HeadParameters(*(p[i : i + 1] for p in (parts.shape, parts.expression, parts.pose)))
        torch.testing.assert_close(model(one).vertices[0], head.vertices[i])


def test_gradients_are_those_of_finite_differences(model):
    values = [p[:1].double().requires_grad_() for p in random_parameters(model)]
    assert torch.autograd.gradcheck(lambda *p: model(HeadParameters(*p)).vertices, values)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("template", (9, 3), r"template is \(9, 3\), wanted \(23, 3\)"),
        ("pose_basis", (23, 3, 7), "wanted 0 or 9"),
    ],
)
@pytest.mark.usefixtures("bad_argument")
def test_tensors_that_do_not_belong_together_say_so(model, name, shape, message):
    with pytest.raises(ValueError, match=message):
        replace(model, **{name: np.zeros(shape, np.float32)})


def test_a_parent_comes_first(model):
    with pytest.raises(ValueError, match="each before its child"):
        replace(model, parents=(-1, 0, 3, 1, 1))


def test_numpy_gives_the_values_of_torch(model):
    tensors = random_parameters(model)
    expected = model(HeadParameters(*tensors))
    head = model(HeadParameters(*(tensor.numpy() for tensor in tensors)))
    assert head.vertices.dtype == head.joints.dtype == np.float32
    np.testing.assert_allclose(head.vertices, expected.vertices, rtol=0, atol=1e-6)
    np.testing.assert_allclose(head.joints, expected.joints, rtol=0, atol=1e-6)


def test_the_model_follows_what_it_is_asked_in(model):
    exact = model.like(torch.zeros(1, dtype=torch.float64))
    assert exact.template.dtype == exact.neutral().pose.dtype == torch.float64
    assert exact.faces.dtype == torch.int64
    assert exact.like(exact.template) is exact
    assert model.like(np.zeros(1, np.float32)) is model
