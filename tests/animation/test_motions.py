"""Models that are told of faces, from files to files."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, get_args

import numpy as np
import pytest
import torch
from support.media_clips import make_video
from support.settled import settled

from fnevr import Animator
from fnevr.animation.driver import DriverFile, timed
from fnevr.animation.motions import MOTIONS, motion_of
from fnevr.animation.source import Framing, prepare
from fnevr.config.presets import asset
from fnevr.config.stages import DrivenBy
from fnevr.errors import CheckpointError, FaceError, FnevrError, MediaError
from fnevr.evaluate.protocols import model_predictor
from fnevr.faces.crop import SIDE_PER_FACE
from fnevr.faces.detector import FaceDetector
from fnevr.faces.find import find_face
from fnevr.faces.landmarks import NUM_MESH, FaceMesh
from fnevr.faces.points68 import points_68
from fnevr.geometry.driving import Coefficients, Landmarks68
from fnevr.media.arrays import to_pictures
from fnevr.media.image import read_image
from fnevr.media.resize import resize
from fnevr.media.trim import Span
from fnevr.media.video import open_video
from fnevr.models import ARCHITECTURES
from fnevr.runtime.torch_engine import TorchEngine


@pytest.fixture(scope="module")
def clip():
    """The bundled portrait, wandering to the right: 3 frames of 256 x 256."""
    picture = read_image(asset("portrait.jpg"))[:256, 128:384]
    return np.stack([np.roll(picture, 12 * step, axis=1) for step in range(3)])


@pytest.fixture(params=["pirender", "bilayer"])
def animator(request, face_driven_configs):
    torch.manual_seed(0)
    config = face_driven_configs[request.param]
    model = settled(ARCHITECTURES[config.architecture](config))
    return Animator(TorchEngine(model), name=request.param)


def test_every_kind_of_driver_has_its_motion():
    assert set(MOTIONS) == set(get_args(DrivenBy))


def test_a_video_animates_a_picture(animator, clip, tmp_path):
    driver = make_video(tmp_path / "talk.mp4", list(clip))
    portrait = asset("portrait.jpg")
    report = animator.animate(portrait, driver, tmp_path / "out.mp4", detail=256)
    assert (report.frames, report.transfer, report.reference_frame) == (3, "absolute", None)
    height, width = read_image(portrait).shape[:2]
    assert (report.height, report.width) == (height, width)
    with open_video(tmp_path / "out.mp4") as video:
        assert len(list(video)) == 3


def test_a_clip_is_rebuilt_as_it_is_evaluated(animator, clip, tmp_path):
    """`reconstruct` and `evaluate` find the same motion in the same frames."""
    drawn = list(animator.frames(clip[0], clip, crop=False, paste_back=False))
    assert [frame.shape for frame in drawn] == [(32, 32, 3)] * 3
    assert np.abs(drawn[1].astype(int) - drawn[2]).max() > 0
    predict = model_predictor(animator.engine, clip[0], clip, "same-identity")
    for numbers in (np.arange(2), np.array([1])):  # of the frames after the first
        found = to_pictures(predict(numbers).numpy())
        np.testing.assert_array_equal(found, np.stack(drawn)[numbers + 1])


def test_what_they_cannot_do_says_why(animator, clip, tmp_path):
    driven_by = animator.engine.config.driven_by
    for options, message in (
        ({"transfer": "relative"}, f"driven by {driven_by}, which are absolute"),
        ({"transfer": "retarget"}, "cannot retarget: use `transfer='absolute'`"),
        ({"best_frame": "first"}, f"driven by {driven_by}, which are absolute|no meaning"),
    ):
        with pytest.raises(FnevrError, match=message):
            list(animator.frames(clip[0], clip, **options))
    with pytest.raises(CheckpointError, match="has no pose editor"):
        list(animator.frames(clip[0], clip, yaw_deg=10.0))
    with pytest.raises(FnevrError, match=f"driven by {driven_by}, and a track holds keypoints"):
        animator.record(tmp_path / "talk.mp4", tmp_path / "track.safetensors")
    with (
        pytest.raises(MediaError, match=f"is a keypoint track, but .* driven by {driven_by}"),
        animator.drivers.motion(DriverFile.of_path(asset("motion.safetensors")), crop=True),
    ):
        pass


def test_a_driver_without_a_face_says_so(animator, clip):
    gray = np.full((2, 64, 64, 3), 128, np.uint8)
    with pytest.raises(FaceError, match="no face found in the driving video"):
        list(animator.frames(clip[0], gray))


def test_coefficients_come_from_a_file(animator, clip, tmp_path):
    np.save(tmp_path / "motion.npy", np.random.default_rng(0).normal(size=(4, 73)))
    if animator.engine.config.driven_by != "coefficients":
        with pytest.raises(MediaError, match=r"3DMM coefficients, but .* by landmarks"):
            animator.animate(asset("portrait.jpg"), tmp_path / "motion.npy", tmp_path / "out.mp4")
        return
    report = animator.animate(
        asset("portrait.jpg"), tmp_path / "motion.npy", tmp_path / "out.mp4", paste_back=False
    )
    assert report.frames == 4
    file = DriverFile.of_path(tmp_path / "motion.npy")
    with animator.drivers.motion(file, crop=True) as driver:
        batches = list(driver.read([]))
    windows = np.concatenate([batch.of(0).windows for batch in batches])
    np.testing.assert_allclose(windows[:, :, 13], np.load(tmp_path / "motion.npy"), rtol=1e-5)
    with animator.drivers.motion(file, crop=True, span=Span(Fraction(2, 25))) as part:
        (first, _) = part.read([])
    assert part.num_frames == 2
    np.testing.assert_array_equal(first.of(0).windows[0], windows[2])  # with the frames before


def test_a_file_of_coefficients_shows_no_face(clip, tmp_path):
    np.save(tmp_path / "motion.npy", np.zeros((4, 73)))
    portrait, driver, output = asset("portrait.jpg"), tmp_path / "motion.npy", tmp_path / "out.mp4"
    lite = Animator.from_pretrained("lite", engine="torch")
    choices: list[dict[str, Any]] = [{}, {"transfer": "retarget"}, {"transfer": "relative"}]
    for options in choices:
        with pytest.raises(MediaError, match=r"3DMM coefficients, but 'lite' is driven by keypoi"):
            lite.animate(portrait, driver, output, **options)
    source = make_video(tmp_path / "source.mp4", list(clip))
    with pytest.raises(MediaError, match=r"3DMM coefficients, but 'lite' is driven by keypoints"):
        lite.animate(source, driver, output)
    with pytest.raises(FnevrError, match="a file of coefficients holds one face"):
        lite.animate(portrait, driver, output, driver_face=0)
    assert not output.exists()


def found_in(animator, clip, *, crop, sources=(), **choice):
    motion = motion_of(animator.engine)
    frames = motion.follow(animator.engine, timed(clip), crop=crop, **choice)
    return list(motion.batches(animator.engine, frames, sources, 2))


def test_motion_is_that_of_the_frames(animator, clip):
    """The face goes to the right by 12 pixels of 256 a frame; a crop that follows it hides that."""
    batches = found_in(animator, clip, crop=False)
    assert [len(batch.times) for batch in batches] == [2, 1]
    if animator.engine.config.driven_by == "landmarks":
        points = np.concatenate([batch.of(0).points for batch in batches])
        moved = points[2].mean(axis=0) - points[0].mean(axis=0)
        np.testing.assert_allclose(moved, [2 * 24 / 256, 0], atol=0.015)
    else:
        windows = np.concatenate([batch.of(0).windows for batch in batches])
        assert windows[2, 71, 13] - windows[0, 71, 13] == pytest.approx(24, abs=2)
        assert windows[0, 71, 13] == windows[0, 71, 0]  # the first frame repeats


def test_what_is_known_of_a_source(animator, clip):
    (source,) = prepare(animator.engine, clip[0], Framing(crop=False, paste_back=False)).sources
    own = source.encoded.own
    if animator.engine.config.driven_by == "landmarks":
        assert isinstance(own, Landmarks68)
        assert own.points.shape == (1, 68, 2)
        return
    assert isinstance(own, Coefficients)
    # A driver whose head is twice as large is given the source's size.
    near = np.stack(
        [np.kron(frame[64:192, 64:192], np.ones((2, 2, 1), np.uint8)) for frame in clip]
    )
    sizes = [
        batch.of(0).windows[0, 70, 13]
        for kept in ([], [source.encoded])
        for batch in found_in(animator, near[:1], crop=False, sources=kept)
    ]
    kept_size = own.numpy().windows[0, 70, 13]
    assert sizes[0] == pytest.approx(kept_size / 2, rel=0.1)
    assert sizes[1] == pytest.approx(kept_size, rel=1e-4)


def test_each_frames_faces_as_its_authors_do(animator):
    """Bilayer by its 68 points, PIRender as FOMM's clips are."""
    portrait = read_image(asset("portrait.jpg"))
    (source,) = prepare(animator.engine, portrait, Framing(paste_back=False)).sources
    assert source.landmarks is not None
    if animator.engine.config.driven_by == "landmarks":
        points, share = points_68(source.landmarks), 1 / 2
    else:
        points, share = source.landmarks[:NUM_MESH, :2], 1 / SIDE_PER_FACE
    assert np.ptp(points, axis=0).max() / len(source.view) == pytest.approx(share, rel=1e-4)


@pytest.fixture(scope="module")
def duo(clip):
    """Two people, the right one smaller."""
    picture = np.full((256, 512, 3), 128, np.uint8)
    picture[:, :256] = clip[0]
    picture[32:224, 288:480] = resize(clip[0], 192, 192)
    return picture


def test_several_faces_of_a_picture(animator, clip, duo):
    """Each takes on the driver's motion; coefficients have the size of each head."""
    scene = prepare(animator.engine, duo, Framing(face="all"))
    encoded = [source.encoded for source in scene.sources]
    assert len(encoded) == 2
    batches = found_in(animator, clip, crop=False, sources=encoded)
    if animator.engine.config.driven_by == "landmarks":
        assert {len(batch.motions) for batch in batches} == {1}
        assert batches[0].of(0) is batches[0].of(1)
    else:
        known: list[Any] = [source.own.numpy() for source in encoded]
        sizes = [own.windows[0, 70, 13] for own in known]
        driven = [batches[0].of(face).windows[0, 70, 13] for face in range(2)]
        np.testing.assert_allclose(driven, sizes, rtol=1e-4)
    (frame, *_) = animator.frames(duo, clip, face="all")
    left, right = (
        next(animator.frames(duo, clip, face=face)).astype(int) - duo for face in range(2)
    )
    assert min(np.abs(left).max(), np.abs(right).max()) > 20
    np.testing.assert_allclose(frame.astype(int) - duo, left + right, atol=3)


def test_any_face_of_the_driver(animator, clip, duo):
    motion = motion_of(animator.engine)
    box = motion.box(find_face(duo, 1, FaceDetector(1), FaceMesh(1)))
    assert box.centre[0] > 256
    larger, smaller = (found_in(animator, [duo], crop=False, face=face) for face in range(2))
    if animator.engine.config.driven_by == "landmarks":
        left, right = (
            256 * (found[0].of(0).points[0, :, 0] + 1) for found in (larger, smaller)
        )  # in pixels
        np.testing.assert_allclose(right.mean(), 288 + 192 / 256 * left.mean(), atol=2)
    else:
        sizes = [found[0].of(0).windows[0, 70, 13] for found in (larger, smaller)]
        assert sizes[1] == pytest.approx(sizes[0] * 256 / 192, rel=0.1)
    (frame,) = animator.frames(clip[0], [duo], driver_face=1)
    (other,) = animator.frames(clip[0], [duo])
    assert np.abs(frame.astype(int) - other).max() > 0
    with pytest.raises(FnevrError, match="several faces of the driver have no meaning with"):
        animator.frames(clip[0], [duo], driver_face=(0, 1))


def test_a_lost_face_is_told(animator, clip):
    gray = np.full_like(clip[0], 128)
    lost: list[Fraction] = []
    found = found_in(animator, [clip[0], gray, gray], crop=True, lost=lost)
    assert [time for batch in found for time in batch.times] == [Fraction(i, 25) for i in range(3)]
    assert lost == [Fraction(1, 25), Fraction(2, 25)]
