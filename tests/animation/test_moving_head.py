"""Hair, ears and skull go where the head goes; face and neck as the keypoints say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fnevr.animation.animator import Animator
from fnevr.animation.edit import PoseEditor
from fnevr.animation.head_turn import HeadTurn
from fnevr.animation.moving_head import MovingHead
from fnevr.animation.retargeting import Retargeting
from fnevr.animation.source import CANVAS, Framing, Source, mirrored, prepare
from fnevr.config.presets import asset
from fnevr.face3d.face_fit import Similarity
from fnevr.face3d.performance import NECK
from fnevr.faces.crop import crop_box
from fnevr.faces.find import find_face
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.rotations import rotation_matrices
from fnevr.media.arrays import to_pictures
from fnevr.media.image import read_image
from fnevr.models.encoded_source import (
    PARTS,
    PERSON,
    PERSON_FLOW,
    TO_VIEW,
    Detail,
    HeadFlow,
)


@pytest.fixture(scope="module")
def engine():
    return Animator.from_pretrained("lite", engine="onnx", precision="float32").engine


@pytest.fixture(scope="module")
def source(engine):
    framing = Framing(paste_back=False)
    return prepare(engine, read_image(asset("portrait.jpg")), framing).sources[0]


@pytest.fixture(scope="module")
def retarget(engine, source):
    return Retargeting.of_source(engine, source)


def test_layers_move_as_the_head_where_it_has_a_share():
    rng = np.random.default_rng(0)
    plain = [rng.random((1, channels, 4, 4), np.float32) for channels in (3, 1, 2, 2, 1, 1)]
    flow, near = np.full((1, 2, 4, 4), 0.5, np.float32), np.zeros((1, 1, 4, 4), np.float32)
    share = np.zeros((1, 1, 4, 4), np.float32)
    share[..., 0], share[..., 1] = 1, 0.25
    blank = np.zeros((1, 4, 8, 8), np.float32)
    detail = Detail(blank, blank[:, :3], HeadFlow(flow, share, near))
    moved = detail.carried(plain)
    for index, known in ((PERSON_FLOW, 0.5), (PERSON, 0.0)):
        np.testing.assert_allclose(moved[index][..., 0], known)
        mixed = 0.75 * plain[index][..., 1] + 0.25 * known
        np.testing.assert_allclose(moved[index][..., 1], mixed, rtol=1e-6)
        np.testing.assert_array_equal(moved[index][..., 2:], plain[index][..., 2:])
    others = set(range(6)) - {PERSON_FLOW, PERSON}
    assert all(moved[index] is plain[index] for index in others)
    assert all(
        a is b for a, b in zip(replace(detail, head=None).carried(plain), plain, strict=True)
    )


def test_layers_go_on_around_the_networks_picture():
    rng = np.random.default_rng(0)
    channels_and_sides = ((3, 16), (1, 16), (2, 4), (2, 4), (1, 4), (1, 4))
    layers = [
        rng.random((1, channels, side, side), np.float32) for channels, side in channels_and_sides
    ]
    view, affine = rng.random((1, 4, 5, 5), np.float32), rng.random((1, 2, 3), np.float32)
    blank = np.zeros((1, 4, 32, 32), np.float32)
    around = Detail(blank, blank[:, :3], canvas=1.5).carried([*layers, view, affine])
    assert [layer.shape[-1] for layer in around] == [24, 24, 6, 6, 6, 6, 5, 3]
    for index, scale in enumerate((1, 1, 1.5, 1.5, 1, 1)):
        rim = around[index].shape[-1] // 6
        inside = around[index][..., rim:-rim, rim:-rim]
        np.testing.assert_allclose(scale * inside, layers[index], rtol=1e-6)
    for index in (0, PERSON_FLOW):
        edge = around[index][..., 0, :]
        np.testing.assert_array_equal(edge, around[index][..., around[index].shape[-1] // 6, :])
    assert around[PARTS].sum() == pytest.approx(layers[PARTS].sum())
    place = np.array([0.4, -0.6])
    expected = affine[0, :, :2] @ (1.5 * place) + affine[0, :, 2]
    np.testing.assert_allclose(around[TO_VIEW][0] @ [*place, 1], expected, rtol=1e-6)


def test_what_is_put_back_is_drawn_beyond_its_square(engine):
    """The hair of the bundled portrait crosses the top of the square."""
    picture = read_image(asset("portrait.jpg"))
    scene = prepare(engine, picture, Framing())
    (source,) = scene.sources
    assert source.detail is not None
    assert source.detail.plate_01.shape[-1] == CANVAS * engine.config.image_size
    retarget = Retargeting.of_source(engine, source)
    still, bowed = (
        scene.finish(list(to_pictures(retarget.draw(engine, source.encoded, retarget.own, turn))))
        for turn in (HeadTurn(), HeadTurn(roll=15.0))
    )
    assert np.abs(still.astype(int) - picture).mean() < 0.5
    landmarks = find_face(picture)
    box = crop_box(landmarks)
    above = slice(round(box.top - box.size / 16), round(box.top))
    columns = slice(round(box.left), round(box.left + box.size))
    assert np.abs(bowed[above, columns].astype(int) - picture[above, columns]).mean() > 5


def test_one_layer_moves_by_the_keypoints_alone(engine, source):
    for detail in (Detail.opaque(source.encoded.image_01), None):
        whole = Source(source.encoded, source.view, source.landmarks, detail)
        assert not whole.has_layers
        assert MovingHead.of_source(whole, engine.config) is None
    head = MovingHead.of_source(source, engine.config)
    assert head is not None
    assert head.free.shape == (64, 64)


def test_a_head_is_held_at_the_border_where_the_picture_goes_on(engine, source):
    """The hair of the bundled portrait crosses the top of its square."""
    alone, put_back = (
        MovingHead.of_source(replace(source, is_put_back=back), engine.config)
        for back in (False, True)
    )
    assert alone is not None
    assert put_back is not None
    assert (alone.free == 1).all()
    assert put_back.free[0].min() < 0.1
    assert (put_back.free[24:40, 24:40] == 1).all()


def test_a_turn_is_about_the_neck_and_by_as_much_more_as_is_drawn_less():
    head = Similarity(0.5, rotation_matrices(np.array([0.0, 0.1, 0.0])), np.array([0.1, 0.2, 0.3]))
    nose, crown = np.array([0.0, 0.0, -0.2]), np.array([0.0, -0.5, 0.0])
    right, up, clockwise = (
        HeadTurn(**turn).place(head) for turn in ({"yaw": 30.0}, {"pitch": 20.0}, {"roll": 20.0})
    )
    for place in (right, up, clockwise):
        np.testing.assert_allclose(place(NECK), head(NECK), atol=1e-12)
        assert place.scale == head.scale
    # A nose is nearer to the camera than the neck.
    assert right(nose)[0] > head(nose)[0] + 0.05
    assert up(nose)[1] < head(nose)[1]
    assert clockwise(crown)[0] > head(crown)[0]
    angle = np.arccos((np.trace(right.rotation @ head.rotation.T) - 1) / 2)
    assert np.degrees(angle) == pytest.approx(30 / 0.97)


def test_hair_goes_with_a_turned_head(engine, source, retarget):
    """By the keypoints alone, the face turns and the picture of the hair is another one."""
    turn = HeadTurn(yaw=20.0)
    turned = retarget.draw(engine, source.encoded, retarget.own, turn)
    extras = retarget.extras
    retarget.extras = replace(extras, head=None)
    plain = retarget.draw(engine, source.encoded, retarget.own, turn)
    retarget.extras = extras
    side = turned.shape[-1]
    differences = np.abs(turned - plain)[0].mean(axis=0)
    eyes = differences[side // 2 : 5 * side // 8, 3 * side // 8 : side // 2]
    hair = differences[side // 16 : side // 4, side // 4 : 3 * side // 4]
    assert hair.mean() > max(5 * eyes.mean(), 0.01)


def test_a_head_at_rest_is_the_portrait(engine, source, retarget):
    at_rest = retarget.draw(engine, source.encoded, retarget.own, HeadTurn())
    expected = engine.draw(source.encoded, source.keypoints)
    np.testing.assert_allclose(at_rest, expected, atol=2e-3)


@pytest.fixture(scope="module")
def aside(engine):
    """The bundled portrait, made to look aside."""
    editor = PoseEditor(engine, engine.turn, read_image(asset("portrait.jpg")))
    return prepare(engine, editor(yaw_deg=-18.0), Framing()).sources[0]


def test_a_mirrored_source_is_its_mirror_image_before_the_same_background(engine, aside):
    twin = mirrored(engine, aside, aside.detail.foreground)
    assert twin.detail is not None
    assert twin.landmarks is not None
    np.testing.assert_array_equal(twin.view, aside.view[:, ::-1])
    np.testing.assert_array_equal(twin.detail.foreground, aside.detail.foreground[..., ::-1])
    np.testing.assert_array_equal(twin.detail.plate_01, aside.detail.plate_01)
    found = find_face(twin.view)
    assert np.abs(twin.landmarks - found)[:, :2].mean() < 2
    again = mirrored(engine, twin, twin.detail.foreground)
    assert again.landmarks is not None
    np.testing.assert_allclose(again.landmarks, aside.landmarks, atol=1e-3)


def test_the_far_side_of_a_face_that_looks_aside_is_the_near_one_mirrored(engine, aside):
    """Turned to the other side, the half that was seen stays as it was drawn."""
    retarget, plain = (
        Retargeting.of_source(engine, aside, has_twin=has_twin) for has_twin in (True, False)
    )

    def difference(yaw):
        pictures = [
            each.draw(engine, aside.encoded, each.own, HeadTurn(yaw=yaw))[0]
            for each in (retarget, plain)
        ]
        return np.abs(pictures[0] - pictures[1]).mean(axis=0)

    for yaw in (0.0, -10.0):
        assert not difference(yaw).any()
    assert retarget.twin is None
    changed = difference(25.0)
    side = len(changed)
    face = slice(3 * side // 8, 5 * side // 8)
    assert changed[face, side // 4 : 3 * side // 8].mean() > 0.02
    assert changed[face, 5 * side // 8 :].max() < 0.01


def test_engines_move_a_head_alike(source):
    """The flow is the same arrays; what each makes of it is compared at one turn."""
    pictures = []
    for name in ("onnx", "torch"):
        engine = Animator.from_pretrained("lite", engine=name, precision="float32").engine
        own = prepare(engine, read_image(asset("portrait.jpg")), Framing())
        retarget = Retargeting.of_source(engine, own.sources[0])
        moved = Keypoints(source.keypoints.positions, source.keypoints.jacobians)
        start = retarget.fit.similarity
        turn = rotation_matrices(np.array([0.1, -0.3, 0.05])) @ start.rotation
        assert retarget.extras.head is not None
        end = Similarity(start.scale, turn, start.shift)
        assert retarget.extras.layers is not None
        detail = retarget.extras.head.moved(start, end, retarget.extras.layers)
        pictures.append(engine.draw(own.sources[0].encoded, moved, detail))
    assert np.square(pictures[0] - pictures[1]).mean() < 1e-6
