from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter
from support.face_tracks import make_track, still
from support.media_clips import make_video

from fnevr.data.cutting import BLURRED, ENDS_EARLY, TOO_DARK, face_quality, plan_cuts, write_cuts
from fnevr.data.manifest import CLIPS, clip_path
from fnevr.data.segments import plan_clips
from fnevr.data.settings import PrepareSettings
from fnevr.data.sources import Span
from fnevr.data.store import read_clip
from fnevr.media.video import open_video

SETTINGS = PrepareSettings(min_seconds=0.3, min_frames=8)


def textured(count, scale=1.0, blur=0.0):
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (120, 160, 3), np.uint8).repeat(4, axis=0).repeat(4, axis=1)
    image = Image.fromarray(picture).filter(ImageFilter.GaussianBlur(1 + blur))
    return [(np.array(image) * scale).astype(np.uint8)] * count


def cut(tmp_path, frames, num_tracked=None):
    """Cut the one clip of a still face out of a video."""
    (tmp_path / CLIPS).mkdir()
    make_video(tmp_path / "a.mp4", frames, options={"crf": "5", "preset": "ultrafast"})
    track = make_track(still(num_tracked or len(frames)))
    segments, _ = plan_clips(track, SETTINGS)
    cuts = plan_cuts(Span("a", "ann"), track, segments, "a.mp4", "CC0")
    with open_video(tmp_path / "a.mp4") as video:
        rows, rejected = write_cuts(video, cuts, tmp_path, SETTINGS)
    return rows, dict(rejected), segments


def test_clip_holds_the_square_and_its_landmarks(tmp_path):
    frames = textured(10)
    (row,), rejected, (segment,) = cut(tmp_path, frames)
    assert not rejected
    assert (row.name, row.identity, row.source, row.licence) == ("a-000", "ann", "a.mp4", "CC0")
    assert (row.frames, row.fps, row.start_s, row.seconds) == (10, 25.0, 0.0, 0.4)
    box = segment.box
    assert row.crop == pytest.approx((box.left, box.top, box.size), abs=0.01)
    found, landmarks = read_clip(clip_path(tmp_path, row.name))
    assert found.shape == (10, 256, 256, 3)
    # The face, 100 pixels of 640, is centred sideways and 1 / 1.69 of the square's side.
    low, high = landmarks[0].min(axis=0), landmarks[0].max(axis=0)
    np.testing.assert_allclose((high - low) / 2, 1 / 1.69, atol=0.01)
    assert (low + high)[0] / 2 == pytest.approx(0, abs=1e-3)
    # The middle of the square shows what the middle of it in the video shows.
    x, y = np.round(segment.box.centre).astype(int)
    expected = frames[0][y - 8 : y + 8, x - 8 : x + 8].mean(axis=(0, 1))
    np.testing.assert_allclose(found[0][116:140, 116:140].mean(axis=(0, 1)), expected, atol=8)


@pytest.mark.parametrize(
    ("frames", "num_tracked", "reason"),
    [
        (textured(10, blur=6.0), None, BLURRED),
        (textured(10, scale=0.2), None, TOO_DARK),
        (textured(10), 12, ENDS_EARLY),
    ],
)
def test_unusable_clips_are_counted_and_not_stored(tmp_path, frames, num_tracked, reason):
    rows, rejected, _ = cut(tmp_path, frames, num_tracked)
    assert rows == []
    assert rejected == {reason: 1}
    assert list((tmp_path / CLIPS).iterdir()) == []


def test_quality_is_that_of_the_face_alone():
    landmarks = np.zeros((478, 2), np.float32)
    landmarks[0], landmarks[1] = (-0.5, -0.5), (0.5, 0.5)
    rgb = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    rgb[64:192, 64:192] = 70
    assert face_quality(rgb, landmarks) == (0.0, 70.0)
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None, None], (256, 256, 3))
    sharpness, brightness = face_quality(ramp, landmarks)
    assert sharpness == 0.0  # a slope has no Laplacian
    assert brightness == pytest.approx(127.5)
