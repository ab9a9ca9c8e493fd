import numpy as np
import pytest

from fnevr.config.presets import asset
from fnevr.face3d.face_fit import FaceBasis, FaceFit, Similarity
from fnevr.face3d.fitting import fit_landmarks
from fnevr.face3d.head_model import HeadModel
from fnevr.faces.find import find_face
from fnevr.geometry.rotations import head_angles_deg, rotation_matrices
from fnevr.media.image import read_image

BASIS = FaceBasis.packaged()


def place(turn=(0.1, -0.3, 0.2), scale=170.0):
    return Similarity(scale, rotation_matrices(np.array(turn)), np.array([130.0, 120.0, 4.0]))


def someone(seed, size=1.0):
    """A person's neutral face, from the prior."""
    beta = size * np.random.default_rng(seed).standard_normal(BASIS.shape_basis.shape[-1])
    return BASIS.template + BASIS.shape_basis @ beta


def test_a_similarity_is_undone():
    shape = someone(1)
    np.testing.assert_allclose(place().undo(place()(shape)), shape, atol=1e-12)


def test_the_alignment_of_a_moved_shape_is_exact():
    found = BASIS.align(someone(2), place()(someone(2)))
    np.testing.assert_allclose(found.rotation, place().rotation, atol=1e-9)
    np.testing.assert_allclose(found.shift, place().shift, atol=1e-7)
    assert found.scale == pytest.approx(170.0)


def test_a_mirrored_shape_is_turned_and_not_mirrored():
    mirrored = someone(2) * np.array([-1.0, 1.0, 1.0])
    assert np.linalg.det(BASIS.align(someone(2), mirrored).rotation) == pytest.approx(1.0)


def test_nothing_is_lost_at_rest():
    fit, points = FaceFit(), place()(someone(3))
    fit.update(points)
    back = fit.similarity(fit.posed(fit.expression) + fit.residual)
    np.testing.assert_allclose(back, points, atol=1e-6)


def test_expressions_of_one_person_come_back():
    rng, fit = np.random.default_rng(5), FaceFit()
    wanted = rng.standard_normal((40, BASIS.num_expression)) * 0.7
    found = []
    for index, expression in enumerate(wanted):
        shape = someone(4) + BASIS.expression_basis @ expression
        fit.update(place((0.0, 0.01 * index, 0.0))(shape))
        found.append(BASIS.expression_basis @ fit.expression)
    truth = np.einsum("nde,te->tnd", BASIS.expression_basis, wanted)
    late = slice(20, None)  # who it is was learned from the frames before
    changes = [values[late] - values[late].mean(axis=0) for values in (np.array(found), truth)]
    left = np.square(changes[0] - changes[1]).mean() / np.square(changes[1]).mean()
    assert left < 0.03


def test_who_always_smiles_keeps_some_of_it_as_expression():
    smile = np.zeros(BASIS.num_expression)
    smile[1:6] = 1.5
    fit = FaceFit()
    for _ in range(60):
        fit.update(place()(BASIS.template + BASIS.expression_basis @ smile))
    shown = BASIS.expression_basis @ fit.expression
    wanted = BASIS.expression_basis @ smile
    assert (shown * wanted).sum() / (wanted * wanted).sum() > 0.3


def test_the_pose_is_that_of_the_gauss_newton_fit():
    portrait_landmarks = find_face(read_image(asset("portrait.jpg")))
    fit = FaceFit()
    fit.update(portrait_landmarks)
    axes = np.outer([1, -1, -1], [1, -1, -1])
    angles = head_angles_deg((fit.similarity.rotation * axes)[None])[0]
    expected = fit_landmarks(HeadModel.packaged(), portrait_landmarks[None].astype(np.float32))
    np.testing.assert_allclose(angles, expected.angles_deg[0], atol=2.0)


def test_landmarks_without_depth_turn_the_same_way():
    """Exact for the mean face; other people's depth is the mean face's at first."""
    fit = FaceFit()
    fit.update(place()(BASIS.template)[:, :2])
    np.testing.assert_allclose(fit.similarity.rotation, place().rotation, atol=1e-6)
    np.testing.assert_allclose(fit.expression, 0, atol=1e-5)
    fit = FaceFit()
    for _ in range(5):
        fit.update(place()(someone(6))[:, :2])
    turn = fit.similarity.rotation @ place().rotation.T
    assert np.degrees(np.arccos((np.trace(turn) - 1) / 2)) < 5
