from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from support.media_clips import make_video

from fnevr.animation.animator import Animator
from fnevr.animation.driver import DriverFile
from fnevr.animation.keypoint_track import load_track, save_track
from fnevr.animation.regions import Regions
from fnevr.animation.response import LIPS, Response
from fnevr.animation.retargeting import Retargeting, Ride, can_retarget, in_head, in_picture
from fnevr.animation.sliders import FaceSliders, added
from fnevr.animation.source import Framing, prepare
from fnevr.config.presets import asset
from fnevr.errors import FaceError, FnevrError, MediaError
from fnevr.face3d.face_fit import Similarity
from fnevr.face3d.performance import NECK, Performance, eye_openings, gaze, lip_gap
from fnevr.faces.detector import FaceDetector
from fnevr.faces.find import find_face
from fnevr.faces.landmarks import FaceMesh, landmarks_region
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.patches import FacePatches
from fnevr.geometry.rotations import rotation_matrices
from fnevr.media.arrays import to_images_01, to_pictures
from fnevr.media.image import read_image
from fnevr.media.resize import resize
from fnevr.media.writer import VideoWriter
from fnevr.runtime.torch_engine import TorchEngine


@pytest.fixture(scope="module")
def animator():
    return Animator.from_pretrained("lite", engine="onnx", precision="float32")


@pytest.fixture(scope="module")
def source(animator):
    framing = Framing(paste_back=False)
    return prepare(animator.engine, read_image(asset("portrait.jpg")), framing).sources[0]


@pytest.fixture(scope="module")
def retarget(animator, source):
    return Retargeting.of_source(animator.engine, source)


def performance(retarget, **changed):
    """What the source itself does, and changes of that."""
    return replace(retarget.own, **{name: np.asarray(value) for name, value in changed.items()})


def test_what_the_source_does_changes_nothing(retarget, source):
    moved = retarget(retarget.own)
    np.testing.assert_allclose(moved.positions, source.keypoints.positions, atol=1e-5)
    np.testing.assert_allclose(moved.jacobians, source.keypoints.jacobians, atol=1e-4)


def test_lids_and_lips_are_asked_for_what_draws_as_much(retarget):
    own = retarget.own
    for lips, asked_lips, eyes, asked_eyes in (
        (0.043, 0.045, 1.0, 1.0),
        (0.097, 0.11, 0.49, 0.3),
        (0.1145, 0.1325, -0.2, -0.6),
        (0.5, 0.28, 3.0, 1.4),
    ):
        frame = performance(retarget, lips=[[lips]], eyes=[[eyes, eyes]])
        shape = retarget.still + retarget.fit.basis.expression_basis @ retarget.expression(frame)
        moved = lip_gap(shape) - lip_gap(retarget.fit.at_rest)
        touching = np.exp(-own.lips[0, 0] / 0.008)
        press = 0.02 * (np.exp(-lips / 0.008) - touching) * (1 - touching)
        at_rest = np.interp(own.lips[0, 0], LIPS.drawn, LIPS.asked)
        assert moved == pytest.approx(asked_lips - at_rest - press, abs=2e-3)
        shares = (eye_openings(shape) - 0.08) / (retarget.open_eyes - 0.08)
        np.testing.assert_allclose(shares, own.eyes[0] + asked_eyes - 1.0, atol=0.05)


def test_lips_of_a_smile_meet_without_the_jaw(retarget):
    """Teeth that meet cannot be shut further, so the chin stays."""
    shut = performance(retarget, lips=[[0.0]])
    coefficients = retarget.expression(shut)
    assert retarget.own.expressions[0, 0] > 0.2, "the fit takes a smile for an open jaw"
    assert coefficients[0] == pytest.approx(0.0, abs=1e-3)
    shape = retarget.still + retarget.fit.basis.expression_basis @ coefficients
    assert lip_gap(shape) < 0.002
    bitten = np.array(retarget.own.expressions)
    bitten[0, 0] = -0.1
    driven = retarget.expression(performance(retarget, lips=[[0.0]], expressions=bitten))
    assert driven[0] == pytest.approx(-0.1, abs=1e-3), "the driver's jaw goes over"


def test_a_response_is_looked_up_the_other_way_round():
    response = Response(asked=(-1.0, 0.0, 2.0), drawn=(0.0, 0.5, 1.0))
    wanted, own = np.array([0.0, 0.25, 0.75, 9.0, 0.4]), np.array([0.5, 0.5, 0.5, 0.5, 0.4])
    np.testing.assert_allclose(response.ask(wanted, own), [-0.5, 0.0, 1.5, 2.5, 0.4])


def test_heads_nod_further_than_they_turn(retarget):
    def place(*rotation):
        moved = retarget(performance(retarget, rotations=[rotation]))
        return moved.positions[0, retarget.patches.num_keypoints - 1]

    nod, expected = place(0.2, 0.0, 0.0), 1.15 * 0.2
    own = retarget.fit.similarity
    turned = rotation_matrices(np.array([expected, 0.0, 0.0])) @ own.rotation
    shift = own(NECK) - own.scale * turned @ NECK
    face = Similarity(own.scale, turned, shift)(retarget.fit.at_rest)
    plain = retarget.fit.similarity(retarget.fit.at_rest)
    went = (
        retarget.patches(face[None, :, :2]).positions
        - retarget.patches(plain[None, :, :2]).positions
    )
    np.testing.assert_allclose(nod - place(0.0, 0.0, 0.0), went[0, -1], atol=2e-3)


def test_the_eyes_look_where_the_drivers_do(animator, source, retarget):
    def looks(right):
        frame = performance(retarget, gazes=[[right, 0.0]])
        (picture,) = to_pictures(retarget.draw(animator.engine, source.encoded, frame))
        return gaze(find_face(picture, None, FaceDetector(1), FaceMesh(1)))[0]

    assert looks(0.08) - looks(-0.08) > 0.08
    assert looks(retarget.own.gazes[0, 0]) == pytest.approx(retarget.own.gazes[0, 0], abs=0.02)


def test_the_head_turns_about_its_neck(retarget, source):
    angle = 0.3
    moved = retarget(performance(retarget, rotations=[[0.0, 0.0, angle]]))
    num_face = FacePatches.packaged().num_keypoints
    neck = retarget.fit.similarity(NECK)[:2]
    roll = rotation_matrices(np.array([0.0, 0.0, angle]))[:2, :2]
    plain = retarget(performance(retarget))
    expected = neck + (plain.positions[0, :num_face] - neck) @ roll.T
    np.testing.assert_allclose(moved.positions[0, :num_face], expected, atol=0.03)


def test_shoulders_follow_less_than_hair(retarget, source):
    moved = retarget(performance(retarget, rotations=[[0.0, 0.0, 0.3]]))
    num_face = FacePatches.packaged().num_keypoints
    went = np.linalg.norm(moved.positions - source.keypoints.positions, axis=-1)[0, num_face:]
    height = source.keypoints.positions[0, num_face:, 1]
    assert went[height > 0.4].max() < 0.5 * went[height < -0.3].min()


def test_a_shift_is_in_face_heights(retarget):
    plain, moved = (
        retarget(performance(retarget, shifts=[shift])) for shift in ((0.0, 0.0), (0.1, 0.0))
    )
    num_face = FacePatches.packaged().num_keypoints
    went = (moved.positions - plain.positions)[0, :num_face]
    expected = [0.1 * retarget.fit.similarity.scale, 0.0]
    np.testing.assert_allclose(went, np.broadcast_to(expected, went.shape), atol=1e-5)


def test_frames_of_the_head_are_undone():
    rng = np.random.default_rng(0)
    face, head = (
        Keypoints(rng.standard_normal((1, 25, 2)), rng.standard_normal((1, 25, 2, 2)))
        for _ in range(2)
    )
    back = in_picture(in_head(face, head), head)
    np.testing.assert_allclose(back.positions, face.positions, atol=1e-9)
    np.testing.assert_allclose(back.jacobians, face.jacobians, atol=1e-9)


def test_a_ride_is_the_rigid_motion_taken_apart():
    start = Similarity(1.0, rotation_matrices(np.array([0.0, 0.2, 0.0])), np.array([0.1, 0.0, 0.3]))
    end = Similarity(1.1, rotation_matrices(np.array([0.1, 0.4, 0.2])), np.array([0.2, -0.1, 0.2]))
    points, depth = np.random.default_rng(1).uniform(-1, 1, (1, 4, 2)), 0.4
    keypoints = Keypoints(points, np.tile(np.eye(2), (1, 4, 1, 1)))
    ride = Ride.between(start, end, keypoints)
    deep = np.concatenate(
        (points[0], np.full((4, 1), start.shift[2] + start.scale * depth)), axis=1
    )
    expected = end(start.undo(deep))[:, :2] - points[0]
    found = ride.shifted + ride.turned + depth * ride.deepened
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_drawn_faces_do_what_they_are_told(animator, source, retarget):
    """Mouth and eyes of the picture itself, as the landmark model sees them."""
    mesh, seen = FaceMesh(1), {}
    for name, changed in {
        "rest": {"lips": [[0.0]], "expressions": np.zeros((1, 51))},
        "open": {"lips": [[0.12]], "expressions": np.zeros((1, 51))},
        "shut": {"lips": [[0.0]], "eyes": [[0.0, 0.0]], "expressions": np.zeros((1, 51))},
    }.items():
        moved = retarget(performance(retarget, **changed))
        drawn = animator.engine.draw(source.encoded, moved)[0]
        rgb = (255 * np.moveaxis(drawn, 0, -1)).astype(np.uint8)
        scale = len(rgb) / len(source.view)
        face = mesh.mesh(rgb, landmarks_region(source.landmarks * scale)).landmarks / len(rgb)
        seen[name] = lip_gap(face), eye_openings(face).mean()
    assert seen["open"][0] > seen["rest"][0] + 0.02
    assert seen["shut"][1] < 0.6 * seen["rest"][1]


def test_frames_before_the_first_face_show_it_and_lost_faces_go_on(animator):
    portrait = read_image(asset("portrait.jpg"))
    empty = np.full_like(portrait, 90)
    seen = list(animator.drivers.performance_of_arrays([empty, portrait, empty], False).read([]))
    assert [len(batch.times) for batch in seen] == [1, 1, 1]
    np.testing.assert_array_equal(seen[0].of(0).rotations, seen[1].of(0).rotations)
    np.testing.assert_array_equal(seen[2].of(0).rotations, seen[1].of(0).rotations)
    with pytest.raises(FaceError, match=r"no face found in the driving video \(2 frames\)"):
        list(animator.drivers.performance_of_arrays([empty, empty], False).read([]))


@pytest.mark.parametrize("transfer", ["retarget", "relative"])
@pytest.mark.parametrize("num_lost", [0, 1, 2])
def test_frames_without_a_face_are_told(animator, tmp_path, transfer, num_lost):
    portrait = resize(read_image(asset("portrait.jpg")), 256, 256)
    empty = np.full_like(portrait, 90)
    make_video(tmp_path / "talk.mp4", [portrait, *[empty] * num_lost, portrait])
    report = animator.animate(
        asset("portrait.jpg"),
        tmp_path / "talk.mp4",
        tmp_path / "out.mp4",
        transfer=transfer,
        detail=256,
    )
    frames = {0: None, 1: "1 frame of", 2: "2 frames of"}[num_lost]
    told = [text for text in report.warnings if "no face was seen" in text]
    spans = {1: "at 0.04 s;", 2: "at 0.04 to 0.08 s;"}.get(num_lost, "")
    assert len(told) == (num_lost > 0)
    assert all(frames in text and spans in text for text in told)
    assert report.frames == 2 + num_lost


@pytest.mark.parametrize(("turns", "degrees"), [(0, None), (2, 180), (3, 90)])
def test_drivers_that_do_not_stand_upright_are_told(animator, tmp_path, turns, degrees):
    portrait = resize(read_image(asset("portrait.jpg")), 256, 256)
    turned = np.ascontiguousarray(np.rot90(portrait, -turns))
    make_video(tmp_path / "talk.mp4", [np.full_like(turned, 90), turned, turned])
    report = animator.animate(
        asset("portrait.jpg"), tmp_path / "talk.mp4", tmp_path / "out.mp4", detail=256
    )
    told = [text for text in report.warnings if "upright" in text]
    assert len(told) == (degrees is not None)
    assert all(f"by {degrees} degrees clockwise" in text for text in told)


def test_the_portrait_drives_itself_to_its_own_mouth(animator):
    portrait = read_image(asset("portrait.jpg"))
    frames = list(animator.frames(portrait, [portrait] * 3, paste_back=False))
    assert len(frames) == 3
    assert frames[0].shape == frames[2].shape


def test_relative_motion_is_taken_where_a_reference_frame_is_named(animator):
    portrait = read_image(asset("portrait.jpg"))
    (frame,) = animator.frames(portrait, [portrait], best_frame="first", detail=256)
    np.testing.assert_allclose(frame.astype(int), portrait, atol=255)
    with pytest.raises(FnevrError, match="no meaning with `transfer='retarget'`"):
        animator.frames(portrait, [portrait], transfer="retarget", best_frame="first")


def test_keypoints_are_found_in_the_dark(animator, source):
    dark = read_image(asset("portrait.jpg")) // 12
    found = prepare(animator.engine, dark, Framing(paste_back=False)).sources[0]
    apart = np.linalg.norm(found.keypoints.positions - source.keypoints.positions, axis=-1)
    num_face = FacePatches.packaged().num_keypoints
    assert 128 * apart[0, :num_face].mean() < 4, "pixels of 256"
    np.testing.assert_array_equal(found.encoded.image_01, to_images_01([found.view]))


def test_models_without_a_map_cannot_retarget(tiny_models):
    engine = TorchEngine(next(iter(tiny_models.values())))
    assert not can_retarget(engine)
    with pytest.raises(FnevrError, match="cannot retarget: use `transfer='relative'`"):
        Animator(engine).frames(np.zeros((8, 8, 3), np.uint8), [], transfer="retarget")


def test_regions_are_shares_of_the_way_to_the_driver(retarget):
    own = retarget.own
    driver = performance(
        retarget,
        rotations=[[0.2, 0.0, 0.0]],
        expressions=own.expressions + 1.0,
        eyes=[[0.0, 0.0]],
        lips=[[0.1]],
    )
    mixed = Regions(head=0.5, expression=0.0, eyes=1.0, lips=0.25).of(driver, own)
    np.testing.assert_allclose(mixed.rotations, [[0.1, 0.0, 0.0]])
    np.testing.assert_allclose(mixed.expressions, own.expressions)
    np.testing.assert_allclose(mixed.eyes, 0.0)
    np.testing.assert_allclose(mixed.lips, 0.75 * own.lips + 0.25 * 0.1)
    for name, values in Regions().of(driver, own).arrays().items():
        np.testing.assert_allclose(values, driver.arrays()[name], atol=1e-12)


@pytest.mark.parametrize("factor", [-0.1, 2.1, float("nan")])
def test_factors_beyond_their_limits_are_refused(factor):
    with pytest.raises(FnevrError, match=r"the factor of eyes is .*: wanted 0 to 2"):
        Regions(eyes=factor)


def test_options_of_retargeting_are_refused_elsewhere(animator):
    portrait = read_image(asset("portrait.jpg"))
    with pytest.raises(FnevrError, match="regions have no meaning with `transfer='relative'`"):
        animator.frames(portrait, [], transfer="relative", regions=Regions(head=0.5))


def test_sliders_come_on_top_of_the_driver(animator, retarget):
    driver = performance(retarget, lips=[[0.05]], eyes=[[0.5, 1.0]])
    both = added(driver, FaceSliders(smile=1.0, mouth_open=0.4).changes(retarget))
    np.testing.assert_allclose(both.lips, 0.05 + 0.4 * 0.15)
    np.testing.assert_allclose(both.eyes, driver.eyes)
    assert np.abs(both.expressions - driver.expressions).max() > 0.1
    portrait = read_image(asset("portrait.jpg"))
    options: dict[str, Any] = {"paste_back": False, "detail": 256}
    (plain,) = animator.frames(portrait, [portrait], **options)
    (smiling,) = animator.frames(portrait, [portrait], sliders=FaceSliders(smile=1.0), **options)
    assert np.abs(plain.astype(int) - smiling).max() > 40


def test_old_tracks_play_with_relative_motion(animator, tmp_path):
    track = replace(load_track(asset("motion.safetensors")), performance=None)
    short = replace(track, keypoints=track.keypoints[:3])
    save_track(tmp_path / "old.safetensors", short)
    portrait, out = asset("portrait.jpg"), tmp_path / "out.mp4"
    report = animator.animate(portrait, tmp_path / "old.safetensors", out, detail=256)
    assert (report.transfer, report.frames) == ("relative", 3)
    with pytest.raises(MediaError, match="has keypoints only"):
        animator.animate(portrait, tmp_path / "old.safetensors", out, transfer="retarget")


def test_recorded_motion_does_what_the_video_does(animator, tmp_path):
    portrait = read_image(asset("portrait.jpg"))
    with VideoWriter(tmp_path / "talk.mp4", 512, 512, Fraction(25)) as writer:
        for index in range(4):
            writer.write(portrait, Fraction(index, 25))
    track = animator.record(tmp_path / "talk.mp4", tmp_path / "talk.safetensors")
    assert track.performance is not None
    with animator.drivers.performance(
        DriverFile(tmp_path / "talk.mp4", None), smooth=True
    ) as driver:
        seen = Performance.concatenate(batch.of(0) for batch in driver.read([]))
    for name, values in seen.arrays().items():
        np.testing.assert_allclose(track.performance.arrays()[name], values, atol=1e-6)
