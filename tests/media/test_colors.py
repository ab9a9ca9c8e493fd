"""HDR and wide gamuts: what a screen of usual range shows of them."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from fnevr.media.colors import BT_2020, DISPLAY_P3, FULL, HLG, PQ, TO_BT_709, Colors
from fnevr.media.video import open_video

BT_709 = 1


def video(path, gray, *, transfer, primaries, matrix=9, codec="libx264"):
    """Write a video of gray, whose signal is given, in ten bits."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace = transfer, primaries, matrix
        for index in range(3):
            frame = av.VideoFrame(64, 48, "yuv420p10le")
            for plane, level in zip(frame.planes, (64 + 876 * gray, 512, 512), strict=True):
                values = np.full(plane.buffer_size // 2, round(level), np.uint16)
                plane.update(values.tobytes())
            frame.color_trc, frame.color_primaries = transfer, primaries
            frame.colorspace = matrix
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


# Computed by hand: HLG of 0.5 is 1/12 before the camera and 50.7 cd/m2 on the screen, PQ of 0.5 is
# 92.2 cd/m2; white is 203 cd/m2, and gamma 2.4.
@pytest.mark.parametrize(
    ("transfer", "gray", "expected"),
    [
        (HLG, 0.0, 0), (HLG, 0.5, 143), (HLG, 0.375, 107), (HLG, 0.75, 251), (HLG, 1.0, 255),
        (PQ, 0.0, 0), (PQ, 0.5, 184), (PQ, 0.4, 119), (PQ, 0.5807, 251), (PQ, 1.0, 255),
        (BT_709, 0.5, 128), (BT_709, 0.2, 51),
    ],
)  # fmt: skip
@pytest.mark.parametrize("primaries", [BT_2020, 2])
def test_gray(tmp_path, transfer, gray, expected, primaries):
    path = video(tmp_path / "a.mp4", gray, transfer=transfer, primaries=primaries)
    with open_video(path) as frames:
        rgb = next(iter(frames)).rgb
    np.testing.assert_allclose(rgb.astype(int), expected, atol=1)


@pytest.mark.parametrize("primaries", [BT_2020, DISPLAY_P3])
@pytest.mark.parametrize("colour", [(200, 30, 30), (30, 180, 30), (230, 200, 180), (90, 90, 90)])
def test_colours_of_other_primaries_come_back(colour, primaries):
    light = np.linalg.inv(TO_BT_709[primaries]) @ (np.array(colour) / 255) ** 2.4
    signal = np.rint(FULL * light ** (1 / 2.4)).astype(np.uint16)
    shown = Colors(14, primaries).for_screens(np.broadcast_to(signal, (3, 5, 3)))
    bright = np.array(colour) > 240
    np.testing.assert_allclose(shown[1, 2][~bright], np.array(colour)[~bright], atol=1)


@pytest.mark.parametrize(("transfer", "primaries"), [(1, 1), (2, 2), (13, 1), (6, 6)])
def test_usual_videos_are_left_as_they_are(tmp_path, transfer, primaries):
    path = video(tmp_path / "a.mp4", 0.5, transfer=transfer, primaries=primaries, matrix=1)
    with av.open(str(path)) as container:
        assert Colors.of(next(container.decode(video=0))) is None
    with open_video(path) as frames:
        np.testing.assert_allclose(next(iter(frames)).rgb.astype(int), 128, atol=1)
