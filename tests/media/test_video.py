"""Reading: rates, times, orientation, pixel formats, animated pictures and folders."""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image
from support.media_clips import (
    BLUE,
    GRAY,
    GREEN,
    RED,
    assert_colors,
    beeping_sound,
    corners,
    make_video,
    quadrants,
)

from fnevr.errors import MediaError
from fnevr.media.reader import nearest_rate
from fnevr.media.video import open_video

COLORS = [RED, GREEN, BLUE, GRAY]
RATES = [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(25), Fraction(25, 2)]


def read(path, **options):
    with open_video(path, **options) as video:
        return video.info, list(video), video.damage


@pytest.mark.parametrize("rate", [*RATES, Fraction(60000, 1001)])
@pytest.mark.parametrize("extension", ["mp4", "mkv", "avi", "ts", "mov"])
def test_frame_rates_and_times_are_exact(tmp_path, extension, rate):
    codec = "mpeg4" if extension == "avi" else "libx264"
    path = make_video(tmp_path / f"a.{extension}", rate=rate, codec=codec, num_frames=9)
    info, frames, damage = read(path)
    assert info.frame_rate == rate
    assert damage is None
    assert [frame.time for frame in frames] == [n / rate for n in range(9)]


def test_info(tmp_path):
    path = make_video(tmp_path / "a.mp4", num_frames=10, sound=beeping_sound(0.4, []))
    info, _, _ = read(path)
    assert (info.width, info.height, info.num_frames) == (64, 48, 10)
    assert info.duration == Fraction(10, 25)
    assert info.has_audio
    assert info.start == 0


def test_variable_frame_rate_keeps_times(tmp_path):
    times = [Fraction(n, 90000) for n in (0, 3003, 3700, 12000, 12001, 90000)]
    path = make_video(tmp_path / "a.mp4", times=times, num_frames=len(times))
    _, frames, _ = read(path)
    assert [frame.time for frame in frames] == times


def test_times_count_from_the_first_frame(tmp_path):
    path = make_video(
        tmp_path / "a.mkv", first_time=Fraction(2), num_frames=3, sound=beeping_sound(3, [])
    )
    info, frames, _ = read(path)
    assert info.start == pytest.approx(2, abs=0.03)  # the muxer shifts by the sound's priming
    assert [frame.time for frame in frames] == [0, Fraction(1, 25), Fraction(2, 25)]


def test_reading_twice_gives_the_same(tmp_path):
    path = make_video(tmp_path / "a.mp4", num_frames=3)
    with open_video(path) as video:
        first, second = list(video), list(video)
    assert [f.time for f in first] == [f.time for f in second]
    np.testing.assert_array_equal(first[1].rgb, second[1].rgb)


def test_closing_ends_what_is_under_way(tmp_path):
    path = make_video(tmp_path / "a.mp4", num_frames=5)
    with open_video(path) as video:
        frames = iter(video)
        next(frames)
    assert next(frames, None) is None


# The picture is stored as is; (degrees counterclockwise, mirrored, upside down) shows it as:
@pytest.mark.parametrize(
    ("rotation", "shown"),
    [
        ((0,), lambda a: a),
        ((90,), lambda a: np.rot90(a, 1)),
        ((180,), lambda a: np.rot90(a, 2)),
        ((-90,), lambda a: np.rot90(a, -1)),
        ((0, True, False), lambda a: a[:, ::-1]),
        ((0, False, True), lambda a: a[::-1]),
    ],
)
def test_rotation_metadata(tmp_path, rotation, shown):
    path = make_video(tmp_path / "a.mp4", rotation=rotation, num_frames=3)
    info, frames, _ = read(path)
    expected = shown(quadrants())
    assert (info.height, info.width, 3) == expected.shape
    for frame in frames:
        assert frame.rgb.shape == expected.shape
        assert_colors(corners(frame.rgb), corners(expected))


@pytest.mark.parametrize("size", [(1, 1), (63, 47), (2, 2), (17, 101)])
def test_odd_sizes(tmp_path, size):
    frames = [quadrants(*size)] * 2
    path = make_video(tmp_path / "a.mkv", frames, codec="ffv1", pix_fmt="bgr0")
    info, read_frames, _ = read(path)
    assert (info.width, info.height) == size
    np.testing.assert_array_equal(read_frames[1].rgb, frames[1])


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "extension"),
    [
        ("libx264", "yuv420p10le", "mp4"),
        ("libx264", "yuv444p", "mp4"),
        ("libx264", "yuvj420p", "mp4"),
        ("libx265", "yuv420p10le", "mp4"),
        ("libvpx-vp9", "yuv420p", "webm"),
        ("mpeg4", "yuv420p", "avi"),
        ("mjpeg", "yuvj422p", "mov"),
        ("prores_ks", "yuv422p10le", "mov"),
        ("ffv1", "gbrp10le", "mkv"),
        ("qtrle", "rgb24", "mov"),
        ("png", "rgb48be", "mov"),
    ],
)
def test_pixel_formats(tmp_path, codec, pix_fmt, extension):
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = make_video(
        tmp_path / f"a.{extension}", codec=codec, pix_fmt=pix_fmt, num_frames=3, options=options
    )
    _, frames, damage = read(path)
    assert len(frames) == 3
    assert damage is None
    assert_colors(corners(frames[0].rgb), COLORS, tolerance=14)


def test_grayscale(tmp_path):
    path = make_video(tmp_path / "a.mkv", codec="ffv1", pix_fmt="gray", num_frames=2)
    _, frames, _ = read(path)
    assert np.ptp(frames[0].rgb, axis=-1).max() <= 1


@pytest.mark.parametrize(("codec", "pix_fmt"), [("png", "rgba"), ("qtrle", "argb")])
def test_alpha_is_over_white(tmp_path, codec, pix_fmt):
    rgba = np.dstack([quadrants(), np.full((48, 64), 255, np.uint8)])
    rgba[:, 32:, 3] = 0
    path = make_video(
        tmp_path / "a.mov", [rgba] * 2, codec=codec, pix_fmt=pix_fmt, source_format="rgba"
    )
    _, frames, _ = read(path)
    assert_colors(corners(frames[0].rgb), [RED, (255,) * 3, BLUE, (255,) * 3], tolerance=1)


def test_untagged_high_definition_is_bt709(tmp_path):
    yuv = np.full((720 * 3 // 2, 16), 128, np.uint8)
    yuv[:720] = 63
    yuv[720:900] = 102  # u, v of pure red under BT.709
    yuv[900:] = 240
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 16, 720, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(yuv, format="yuv420p")))
        container.mux(stream.encode(None))
    _, frames, _ = read(path)
    assert_colors(frames[0].rgb[100, 8], (255, 0, 0), tolerance=4)


def test_pixels_become_square(tmp_path):
    path = make_video(tmp_path / "a.mkv", pixel_aspect=Fraction(2), num_frames=2)
    info, frames, _ = read(path)
    assert (info.width, info.height) == (128, 48)
    assert frames[0].rgb.shape == (48, 128, 3)


def test_gif_and_webp_delays(tmp_path):
    shades = [Image.new("RGB", (9, 7), (s, s, s)) for s in (0, 80, 160, 240)]
    delays = [40, 100, 20, 200]
    for name in ("a.gif", "a.webp", "a.png"):
        shades[0].save(
            tmp_path / name, save_all=True, append_images=shades[1:], duration=delays, lossless=True
        )
        info, frames, _ = read(tmp_path / name)
        assert [f.time for f in frames] == [
            0,
            Fraction(4, 100),
            Fraction(14, 100),
            Fraction(16, 100),
        ]
        assert (info.num_frames, info.duration) == (4, Fraction(36, 100))
        assert_colors([f.rgb[3, 4] for f in frames], [(s,) * 3 for s in (0, 80, 160, 240)], 2)


def test_gif_without_delays_plays_as_in_browsers(tmp_path):
    shades = [Image.new("L", (4, 4), s) for s in (0, 255)]
    shades[0].save(tmp_path / "a.gif", save_all=True, append_images=shades[1:])
    info, frames, _ = read(tmp_path / "a.gif")
    assert (info.frame_rate, frames[1].time) == (10, Fraction(1, 10))


def test_transparent_gif_is_over_white(tmp_path):
    image = Image.new("P", (4, 4), 0)
    image.putpalette([10, 10, 10])
    image.save(tmp_path / "a.gif", transparency=0)
    _, frames, _ = read(tmp_path / "a.gif")
    assert frames[0].rgb.min() == 255


def test_a_picture_is_a_video_of_one_frame(tmp_path):
    Image.fromarray(quadrants()).save(tmp_path / "a.jpg")
    info, frames, _ = read(tmp_path / "a.jpg")
    assert (info.num_frames, len(frames)) == (1, 1)


def test_folder_in_natural_order(tmp_path):
    for n in (10, 2, 1, 100):
        Image.new("L", (8, 6), n).save(tmp_path / f"frame{n}.png")
    (tmp_path / ".hidden.png").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("no picture")
    info, frames, _ = read(tmp_path, frame_rate=Fraction(30000, 1001))
    assert [int(f.rgb[0, 0, 0]) for f in frames] == [1, 2, 10, 100]
    assert frames[3].time == 3 * Fraction(1001, 30000)
    assert (info.num_frames, info.frame_rate) == (4, Fraction(30000, 1001))
    assert read(tmp_path)[0].frame_rate == 25


def test_folder_of_upright_and_turned_photos(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (8, 6)).save(tmp_path / "1.jpg")
    Image.new("L", (6, 8)).save(tmp_path / "2.jpg", exif=exif)
    assert len(read(tmp_path)[1]) == 2


def test_nearest_rate():
    assert nearest_rate(Fraction(2997, 100)) == Fraction(30000, 1001)
    assert nearest_rate(Fraction(19001, 317)) == Fraction(60000, 1001)
    assert nearest_rate(Fraction(300001, 10000)) == 30
    assert nearest_rate(Fraction(29, 2)) == Fraction(29, 2)
    assert nearest_rate(Fraction(1, 3)) == Fraction(1, 3)


def test_truncated_video_gives_what_is_there(tmp_path, caplog):
    noise = np.random.default_rng(0).integers(0, 256, (50, 48, 64, 3), dtype=np.uint8)
    path = make_video(
        tmp_path / "a.mp4",
        list(noise),
        container_options={"movflags": "+faststart"},
        options={"bf": "0", "threads": "1"},
    )
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    info, frames, damage = read(path)
    assert info.num_frames == 50
    assert 10 < len(frames) < 40
    assert damage is not None
    assert damage in caplog.text


def test_damage_in_the_middle_gives_what_comes_before(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (30, 48, 64, 3), dtype=np.uint8)
    path = make_video(tmp_path / "a.mkv", list(noise), codec="ffv1", pix_fmt="bgr0")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 30000] = b"\x55" * 30000
    path.write_bytes(data)
    _, frames, damage = read(path)
    assert 5 < len(frames) < 30
    assert damage is not None


def test_non_positive_folder_rate(tmp_path):
    with pytest.raises(ValueError, match="frame rate must be"):
        open_video(tmp_path, frame_rate=0)


def test_titles_in_any_encoding(tmp_path):
    path = make_video(tmp_path / "a.avi", codec="mpeg4", num_frames=2)
    data = path.read_bytes().replace(b"Lavf", b"L\xe4\xf6f")
    path.write_bytes(data)
    assert len(read(path)[1]) == 2


@pytest.mark.parametrize(
    "name", ["ä ö 日本.mp4", "50%d #1.mp4", "http:a.mp4", "-a.mp4", "a'b\".mp4"]
)
def test_strange_names(tmp_path, name):
    path = make_video(tmp_path / "a.mp4", num_frames=2).rename(tmp_path / name)
    assert len(read(path)[1]) == 2


def test_an_unreadable_folder(tmp_path, monkeypatch):
    def refuse(_self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "iterdir", refuse)
    with pytest.raises(MediaError, match="Permission denied"):
        open_video(tmp_path)
