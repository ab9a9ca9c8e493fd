"""The memory that a picture takes is bounded, whatever its file asks for.

Peaks are of processes of their own. The limit for whole commands is 1.2 GB.
"""

import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.costly_files import (
    ALIKE,
    MANY,
    boxes_changed,
    gif,
    jpeg_2000,
    muxed,
    progressive,
    side_of,
    tiff,
)
from support.measured import LIMIT_BYTES, measured
from support.media_clips import beeping_sound, make_video

from fnevr.config.presets import asset
from fnevr.errors import MediaError
from fnevr.faces.detector import FaceDetector
from fnevr.media import bounds, container, image, stills, strips
from fnevr.media.bounds import MAX_PIXELS, MAX_PIXELS_OF
from fnevr.media.image import KEPT_PIXELS, read_image
from fnevr.media.resize import at_most, fitting, resize
from fnevr.media.strips import reduced, resampled
from fnevr.media.video import open_video


def plain(mode, pixels):
    side = side_of(pixels)
    return Image.new(mode, (side, side), 90 if len(mode) == 1 else (90,) * len(mode))


def save_gray(path):
    plain("L", MAX_PIXELS).save(path)


def save_progressive(path):
    plain("RGB", MAX_PIXELS).save(path, progressive=True, subsampling=0)


def save_webp(path):
    plain("RGB", MAX_PIXELS_OF["WEBP"]).save(path)


def save_jpeg_2000(path):
    plain("RGB", MAX_PIXELS_OF["JPEG2000"]).save(path)


def save_large_face(path):
    side = side_of(KEPT_PIXELS)
    Image.open(asset("portrait.jpg")).resize((side, side)).save(path, quality=80)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("gray.png", save_gray),
        ("progressive.jpg", save_progressive),
        ("a.webp", save_webp),
        ("a.jp2", save_jpeg_2000),
    ],
)
def test_the_largest_pictures_of_each_format(tmp_path, name, save):
    save(tmp_path / name)
    done = measured("reconstruct3d", tmp_path / name, "-o", tmp_path / "a.obj")
    assert done.code == 2, "there is no face in it"
    assert done.peak_bytes < LIMIT_BYTES


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["openvino", "onnx"])
def test_the_largest_video(tmp_path, engine):
    """As many frames as the encoder keeps."""
    save_large_face(tmp_path / "a.jpg")
    files = ("-s", tmp_path / "a.jpg", "-o", tmp_path / "b.mp4")
    done = measured("animate", *files, "--end", "1.2", "--engine", engine)
    assert done.code == 0
    with open_video(tmp_path / "b.mp4") as video:
        assert video.info.width == 3072
    assert done.peak_bytes < LIMIT_BYTES


@pytest.mark.slow
@pytest.mark.parametrize("command", ["edit", "reconstruct3d"])
def test_the_largest_face(tmp_path, command):
    save_large_face(tmp_path / "a.jpg")
    options = {
        "edit": ("--yaw", "5", "--engine", "onnx", "-o", tmp_path / "b.jpg"),
        "reconstruct3d": ("-o", tmp_path / "a.obj", "--overlay", tmp_path / "b.jpg"),
    }
    done = measured(command, tmp_path / "a.jpg", *options[command])
    assert done.code == 0
    with Image.open(tmp_path / "b.jpg") as drawn:
        assert drawn.size == (side_of(KEPT_PIXELS),) * 2
    assert done.peak_bytes < LIMIT_BYTES


@pytest.mark.parametrize("file_format", ["WEBP", "JPEG2000", "PNG", "TIFF"])
def test_too_many_pixels_of_a_format(tmp_path, monkeypatch, file_format):
    monkeypatch.setattr(bounds, "MAX_PIXELS", 3000)
    monkeypatch.setattr(bounds, "MAX_PIXELS_OF", {"WEBP": 2000, "JPEG2000": 1000})
    most = bounds.MAX_PIXELS_OF.get(file_format, 3000)
    Image.new("RGB", (most // 20 + 1, 20)).save(tmp_path / "a", file_format)
    with pytest.raises(MediaError, match="too many pixels"):
        read_image(tmp_path / "a")
    Image.new("RGB", (most // 20, 20)).save(tmp_path / "b", file_format)
    assert read_image(tmp_path / "b").shape == (20, most // 20, 3)


@pytest.mark.parametrize(
    ("kind", "mode", "file_format", "options"),
    [
        ("JPEG in CMYK", "CMYK", "JPEG", {"progressive": True}),
        ("JPEG in CMYK", "CMYK", "JPEG", {}),
        ("JPEG in TIFF", "RGB", "TIFF", {"compression": "jpeg"}),
        ("JPEG in TIFF", "L", "TIFF", {"compression": "jpeg"}),
    ],
)
def test_costly_forms_of_a_format_have_bounds_of_their_own(
    tmp_path, monkeypatch, kind, mode, file_format, options
):
    picture = Image.new(mode, (40, 30))
    picture.save(tmp_path / "a", file_format, **options)
    monkeypatch.setattr(bounds, "MAX_PIXELS_OF", {kind: 1199})
    with pytest.raises(MediaError, match="too many pixels"):
        read_image(tmp_path / "a")
    monkeypatch.setattr(bounds, "MAX_PIXELS_OF", {kind: 1200})
    assert read_image(tmp_path / "a").shape == (30, 40, 3)


def test_each_plane_of_a_tiff_may_have_many_scans(tmp_path, monkeypatch):
    monkeypatch.setitem(bounds.MAX_PIXELS_OF, "JPEG in planes of TIFF", 1000)
    (tmp_path / "a.tif").write_bytes(tiff(40, 7, [progressive(40, 2)] * 4))
    with pytest.raises(MediaError, match="too many pixels"):
        read_image(tmp_path / "a.tif")
    (tmp_path / "b.tif").write_bytes(tiff(24, 7, [progressive(24, 2)] * 4))
    assert read_image(tmp_path / "b.tif").shape == (24, 24, 3)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "I;16", "F", "CMYK", "1"])
@pytest.mark.parametrize("orientation", [1, 6, 3])
def test_large_pictures_are_reduced_as_pillow_does(tmp_path, monkeypatch, mode, orientation):
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (90, 130, 4), np.uint8)
    picture = Image.fromarray(colours[..., 0]).convert(mode)
    if mode in {"RGB", "RGBA", "CMYK"}:
        picture = Image.frombytes(mode, (130, 90), colours[..., : len(mode)].tobytes())
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "a.tif", exif=exif)
    whole = read_image(tmp_path / "a.tif")
    monkeypatch.setattr(image, "KEPT_PIXELS", 90 * 130 // 6)
    monkeypatch.setattr(strips, "STRIP_PIXELS", 1000)
    small = read_image(tmp_path / "a.tif")
    assert small.shape == (-(-whole.shape[0] // 3), -(-whole.shape[1] // 3), 3)
    middle = whole[3:-3, 3:-3].astype(float).mean()
    assert small[1:-1, 1:-1].mean() == pytest.approx(middle, abs=2)


def test_reducing_a_picture_is_told(tmp_path, monkeypatch):
    picture = Image.new("RGB", (60, 40))
    picture.save(tmp_path / "a.png")
    assert image.reduction_warning(tmp_path / "a.png", read_image(tmp_path / "a.png")) == []
    monkeypatch.setattr(image, "KEPT_PIXELS", 700)
    (warning,) = image.reduction_warning(tmp_path / "a.png", read_image(tmp_path / "a.png"))
    assert "30 x 20 of it are used" in warning


@pytest.mark.parametrize("factor", [1, 2, 3, 7])
def test_strips_change_nothing(monkeypatch, factor):
    monkeypatch.setattr(strips, "STRIP_PIXELS", 1500)
    rgb = np.random.default_rng(0).integers(0, 256, (301, 203, 3), np.uint8)
    whole = Image.fromarray(rgb)
    ours = reduced(lambda first, last: rgb[first:last], 301, 203, factor)
    np.testing.assert_array_equal(ours, np.asarray(whole.reduce(factor)))
    box = (3.3, 5.7, 199.1, 288.1)
    ours = resampled(lambda first, last: rgb[first:last], 301, 203, box, 10 * factor)
    theirs = whole.resize((10 * factor,) * 2, Image.Resampling.BICUBIC, box=box)
    np.testing.assert_array_equal(ours, np.asarray(theirs))
    np.testing.assert_array_equal(
        resize(rgb, 24, 24), np.asarray(whole.resize((24, 24), Image.Resampling.BICUBIC))
    )


@pytest.mark.parametrize("side", [30, 120, 250])
def test_pictures_of_usual_sizes_are_resampled_by_pillow(side):
    rgb = np.random.default_rng(0).integers(0, 256, (301, 203, 3), np.uint8)
    box = (3.3, 5.7, 199.1, 288.1)
    ours = resampled(lambda first, last: rgb[first:last], 301, 203, box, side)
    theirs = Image.fromarray(rgb).resize((side,) * 2, Image.Resampling.BICUBIC, box=box)
    np.testing.assert_array_equal(ours, np.asarray(theirs))


def test_sizes_that_are_asked_for():
    rgb = np.zeros((300, 400, 3), np.uint8)
    assert at_most(rgb, None, 10**6) is rgb
    assert at_most(rgb, 200, 10**6).shape == (150, 200, 3)
    assert at_most(rgb, 800, 10**6) is rgb
    assert all(fitting(side, side, 512) == (512, 512) for side in range(513, 6000))
    assert at_most(rgb, None, 30_000).shape == (150, 200, 3)
    assert at_most(rgb, 100, 30_000).shape == (75, 100, 3)


def test_faces_in_very_large_pictures_are_where_they_are():
    portrait = read_image(asset("portrait.jpg"))
    (face,) = FaceDetector(1).detect(portrait, parts=False)
    large = portrait.repeat(9, axis=0).repeat(9, axis=1)
    (enlarged,) = FaceDetector(1).detect(large, parts=False)
    np.testing.assert_allclose(np.array(enlarged.box) / 9, face.box, atol=8)
    np.testing.assert_allclose(enlarged.keypoints / 9, face.keypoints, atol=8)


def test_jpegs_that_ask_for_much_work_are_refused(tmp_path):
    """At 120 megapixels, a scan took 0.07 s and 130 bytes: 1 MB would have taken ten minutes."""
    few, many = (progressive(1456, bounds.MAX_SCANS + more) for more in (0, 1))
    (tmp_path / "few.jpg").write_bytes(few)
    (tmp_path / "many.jpg").write_bytes(many)
    assert len(many) / bounds.MAX_SCANS < 120
    assert read_image(tmp_path / "few.jpg").shape == (1456, 1456, 3)
    with pytest.raises(MediaError, match="over its pixels more than 64 times"):
        read_image(tmp_path / "many.jpg")
    # What phones append (videos, for example) is not looked at.
    (tmp_path / "few.jpg").write_bytes(few + b"\xff\xda\0\x02" * 10**5)
    assert bounds.num_scans((tmp_path / "few.jpg").read_bytes()) == bounds.MAX_SCANS
    assert read_image(tmp_path / "few.jpg").shape == (1456, 1456, 3)


@pytest.mark.parametrize(("options", "expected"), [({}, 1), ({"progressive": True}, 10)])
def test_scans_of_usual_jpegs(tmp_path, options, expected):
    """Thumbnails among the metadata are jumped over."""
    exif = Image.Exif()
    exif[0x010E] = "\u00ff\u00da" * 9
    Image.open(asset("portrait.jpg")).save(tmp_path / "a.jpg", exif=exif, **options)
    assert bounds.num_scans((tmp_path / "a.jpg").read_bytes()) == expected


@pytest.mark.parametrize(("side", "num_frames"), [(6000, 40), (10_000, 6), (1500, 400)])
def test_small_animations_that_ask_for_much_work_are_refused(tmp_path, side, num_frames):
    (tmp_path / "a.gif").write_bytes(gif(side, num_frames))
    with pytest.raises(MediaError, match=f"asks for {num_frames} frames of {side} x {side}"):
        open_video(tmp_path / "a.gif")


def test_animations_of_usual_sizes_are_read(tmp_path):
    (tmp_path / "a.gif").write_bytes(gif(300, 50))
    with open_video(tmp_path / "a.gif") as video:
        assert len(list(video)) == 50


@pytest.mark.parametrize("num_frames", [1, 2])
def test_frames_of_an_animation_are_no_larger_than_those_of_a_video(
    tmp_path, monkeypatch, num_frames
):
    monkeypatch.setattr(stills, "KEPT_PIXELS", 299 * 300)
    (tmp_path / "a.gif").write_bytes(gif(300, num_frames))
    if num_frames > 1:
        with pytest.raises(MediaError, match="asks for 2 frames of 300 x 300"):
            open_video(tmp_path / "a.gif")
    else:
        assert open_video(tmp_path / "a.gif").info.width == 300


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [("a.mp4", "libx264", "yuv420p"), ("a.mov", "png", "rgb24"), ("a.mkv", "ffv1", "yuv444p")],
)
def test_frames_that_are_too_large_are_not_decoded(tmp_path, monkeypatch, name, codec, pix_fmt):
    make_video(tmp_path / name, num_frames=3, codec=codec, pix_fmt=pix_fmt)
    with open_video(tmp_path / name) as video:
        assert len(list(video)) == 3
    # The pixels of whole blocks of 64 count, which decoders hold.
    monkeypatch.setattr(container, "MAX_FRAME", 64 * 48 - 1)
    with pytest.raises(MediaError, match=r"has frames of 64 x 48|larger than 0 megapixels"):
        open_video(tmp_path / name)


@pytest.mark.parametrize("name", ["a.avi", "a.mkv"])
def test_frames_that_grow_end_the_video(tmp_path, monkeypatch, name):
    monkeypatch.setattr(container, "MAX_FRAME", 100 * 100)
    usual, large = progressive(64, 2), progressive(128, 2)
    muxed(tmp_path / name, [usual, usual, large, usual], 64)
    with open_video(tmp_path / name) as video:
        assert len(list(video)) == 2
        assert "is damaged after 0.08 s" in str(video.damage)


@pytest.mark.parametrize("name", ["a.avi", "a.mkv"])
def test_frames_that_ask_for_much_work_end_the_video(tmp_path, name):
    usual, long = (progressive(64, bounds.MAX_SCANS + more) for more in (0, 1))
    muxed(tmp_path / name, [usual, usual, long, usual], 64)
    with open_video(tmp_path / name) as video:
        assert len(list(video)) == 2
        assert "more than 64 times" in str(video.damage)
    muxed(tmp_path / name, [long, long], 64)
    with pytest.raises(MediaError, match="no frame that can be decoded"):
        open_video(tmp_path / name)


@pytest.mark.parametrize(
    "options",
    [
        {"block": (0, 0)},
        {"block": (1, 3)},
        {"block": (2, 2), "component": 2},
        {"precincts": 0x33},
        {"precincts": 0x3F, "component": 0},
        {"layers": 65535},
        {"layers": 67},
    ],
)
def test_jpeg_2000_that_asks_for_much_work_is_refused(tmp_path, options):
    """OpenJPEG took 3.2 GB for 2 kB at 40 megapixels: blocks of 4 x 4, all of them empty."""
    jpeg_2000(tmp_path / "a.jp2", **options)
    with pytest.raises(MediaError, match="very small blocks, or has very many layers"):
        read_image(tmp_path / "a.jp2")


@pytest.mark.parametrize(
    "options",
    [{}, {"block": (3, 3)}, {"block": (3, 3), "component": 1}, {"precincts": 0x77}, {"layers": 66}],
)
def test_jpeg_2000_as_encoders_write_it_is_read(tmp_path, options):
    jpeg_2000(tmp_path / "a.jp2", **options)
    rgb = read_image(tmp_path / "a.jp2")
    assert rgb.shape == (200, 200, 3)


def test_pictures_saved_as_jpeg_2000_are_read(tmp_path):
    portrait = Image.open(asset("portrait.jpg"))
    written: list[dict[str, Any]] = [
        {"quality_mode": "rates", "quality_layers": [60, 30, 10], "num_resolutions": 6},
        {"precinct_size": (128, 128), "codeblock_size": (32, 32), "tile_size": (256, 256)},
        {"irreversible": True, "progression": "RPCL", "num_resolutions": 1},
    ]
    for number, options in enumerate(written):
        portrait.save(tmp_path / f"{number}.jp2", **options)
        assert bounds.is_coded_as_usual((tmp_path / f"{number}.jp2").read_bytes())
        assert read_image(tmp_path / f"{number}.jp2").shape == (portrait.height, portrait.width, 3)


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({}, ALIKE),
        ({}, {**ALIKE, b"stsz": struct.pack(">III", 0, 7, 2**31)}),
        ({"movflags": "frag_keyframe+empty_moov"}, {b"trun": struct.pack(">II", 0, MANY)}),
        (
            {"movflags": "frag_every_frame+empty_moov"},
            {b"trun": struct.pack(">III", 1, 2**32 - 1, 0)},
        ),
    ],
)
def test_tables_that_claim_more_frames_than_there_are_bytes(tmp_path, options, changes):
    """FFmpeg took 2.2 GB for 1.8 kB: 60 million frames of one byte."""
    make_video(tmp_path / "a.mp4", container_options=options)
    whole = (tmp_path / "a.mp4").read_bytes()
    assert boxes_changed(whole, {}) == whole
    with open_video(tmp_path / "a.mp4") as video:
        assert len(list(video)) == 10
    (tmp_path / "b.mp4").write_bytes(boxes_changed(whole, changes))
    with pytest.raises(MediaError, match="claims more frames than it has bytes"):
        open_video(tmp_path / "b.mp4")


@pytest.mark.parametrize("sound", ["pcm_s16le", "aac"])
def test_sound_of_one_byte_a_sample_is_no_claim(tmp_path, sound):
    samples = beeping_sound(2, [0.5], rate=8000)
    make_video(tmp_path / "a.mov", sound=samples, sound_codec=sound, sound_rate=8000)
    with open_video(tmp_path / "a.mov") as video:
        assert len(list(video)) == 10
