import json

import numpy as np
import pytest

from fnevr.animation.animator import Animator
from fnevr.animation.head_turn import HeadTurn
from fnevr.animation.response import LIPS
from fnevr.animation.retargeting import Retargeting
from fnevr.animation.sliders import LIMITS, FaceSliders
from fnevr.animation.source import Framing, prepare
from fnevr.config.presets import asset
from fnevr.errors import FnevrError
from fnevr.face3d.performance import eye_openings, lip_gap
from fnevr.media.image import read_image


@pytest.fixture(scope="module")
def animator():
    return Animator.from_pretrained("lite", engine="onnx", precision="float32")


@pytest.fixture(scope="module")
def editor(animator):
    return animator.pose_editor(read_image(asset("portrait.jpg")), Framing(paste_back=False))


@pytest.fixture(scope="module")
def retarget(animator):
    picture = read_image(asset("portrait.jpg"))
    return Retargeting.of_source(
        animator.engine, prepare(animator.engine, picture, Framing()).sources[0]
    )


def shape(retarget, **values):
    """The face at rest with sliders."""
    performance = FaceSliders(**values).performance(retarget)
    return retarget.still + retarget.fit.basis.expression_basis @ retarget.expression(performance)


def mouth(face):
    width = np.linalg.norm(face[61] - face[291])
    return width, face[[0, 17], 1].mean() - face[[61, 291], 1].mean()


def test_no_slider_changes_nothing(editor):
    rest = editor.turned(HeadTurn())
    np.testing.assert_array_equal(editor.turned(HeadTurn(), FaceSliders()), rest)
    nothing = editor.retarget(FaceSliders().performance(editor.retarget))
    np.testing.assert_allclose(nothing.positions, editor.source.keypoints.positions, atol=1e-5)


def test_a_smile_widens_the_mouth_and_lifts_its_corners(retarget):
    plain, smiling, sad = (mouth(shape(retarget, smile=value)) for value in (0.0, 1.0, -1.0))
    assert smiling[0] > plain[0] > sad[0]
    assert smiling[1] > plain[1] > sad[1]


def test_a_pout_narrows_the_mouth(retarget):
    assert mouth(shape(retarget, pout=1.0))[0] < mouth(shape(retarget))[0] - 0.01


def test_lips_open_and_shut(retarget):
    gaps = [lip_gap(shape(retarget, mouth_open=value)) for value in (-1.0, 0.0, 0.5, 1.0)]
    assert gaps == sorted(gaps)
    assert gaps[0] < 0.01
    lips = retarget.own.lips[0, 0] + np.array([0.0, 0.15])
    asked = np.interp(lips, LIPS.drawn, LIPS.asked)
    assert gaps[3] - gaps[1] == pytest.approx(asked[1] - asked[0], abs=0.01)


@pytest.mark.parametrize(("name", "side"), [("blink_left", 0), ("blink_right", 1)])
def test_a_blink_shuts_one_eye(retarget, name, side):
    before, after = eye_openings(shape(retarget)), eye_openings(shape(retarget, **{name: 1.0}))
    assert after[side] < 0.1
    assert after[1 - side] == pytest.approx(before[1 - side], abs=0.02)


@pytest.mark.parametrize(
    ("name", "brow", "other"), [("brow_left", 105, 334), ("brow_right", 334, 105)]
)
def test_brows_go_up_and_down_each_by_itself(retarget, name, brow, other):
    plain, up, down = (shape(retarget, **{name: value}) for value in (0.0, 1.0, -1.0))
    assert up[brow, 1] < plain[brow, 1] < down[brow, 1]
    assert abs(up[other, 1] - plain[other, 1]) < 0.3 * abs(up[brow, 1] - plain[brow, 1])


def test_drawn_smiles_differ_from_the_picture(editor):
    rest, smiling = (
        editor.turned(HeadTurn(), FaceSliders(smile=value)).astype(int) for value in (0.0, 1.0)
    )
    changed = np.abs(smiling - rest).max(axis=-1)
    assert changed.max() > 40
    assert (changed > 20).mean() < 0.2  # only the face


def test_sliders_come_back_from_their_file(tmp_path):
    sliders = FaceSliders(smile=0.4, blink_left=1.0)
    sliders.save(tmp_path / "wink.json")
    assert json.loads((tmp_path / "wink.json").read_text()) == {"smile": 0.4, "blink_left": 1}
    assert FaceSliders.load(tmp_path / "wink.json") == sliders


def test_sums_stay_within_the_limits():
    total = FaceSliders(smile=0.8, pout=0.25) + FaceSliders(smile=0.8, brow_left=-0.5)
    assert total == FaceSliders(smile=1.0, pout=0.25, brow_left=-0.5)


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("value", [1.01, -1.01, float("nan"), float("inf")])
def test_values_beyond_the_limits_are_refused(name, value):
    with pytest.raises(FnevrError, match=f"{name} is .*: wanted a number from"):
        FaceSliders(**{name: value})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("[1]", "is no expression"),
        ('{"frown": 1}', "is no expression"),
        ('{"smile": 2}', "smile is 2.0: wanted a number from -1 to 1"),
        ('{"smile": NaN}', "smile is nan"),
        ('{"pout": "a"}', "pout is 'a', which is no number"),
        ('{"smile": true, "pout": "a"}', "smile is True, which is no number"),
    ],
)
def test_files_that_are_none(tmp_path, text, message):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(FnevrError, match=message):
        FaceSliders.load(path)
