import struct

import jaxtyping
import numpy as np
import pytest
from PIL import Image, ImageCms
from support.media_clips import (
    BLUE,
    GRAY,
    GREEN,
    RED,
    assert_colors,
    corners,
    left_behind,
    quadrants,
)

from fnevr.errors import MediaError
from fnevr.media.image import read_image, write_image

COLORS = [RED, GREEN, BLUE, GRAY]
# How a picture must be stored so that each EXIF orientation shows it upright.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}


@pytest.fixture
def bad_argument():
    """Let a wrong argument reach our own check instead of the runtime type checker."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize("orientation", sorted(STORED))
def test_exif_orientation(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](quadrants()))
    Image.fromarray(stored).save(tmp_path / "a.jpg", quality=95, exif=exif)
    rgb = read_image(tmp_path / "a.jpg")
    assert rgb.shape == (48, 64, 3)
    assert_colors(corners(rgb), COLORS)


@pytest.mark.parametrize("extension", ["png", "webp", "jpg", "jpeg", "PNG"])
def test_write_then_read(tmp_path, extension):
    path = tmp_path / f"a.{extension}"
    write_image(path, quadrants())
    assert_colors(corners(read_image(path)), COLORS, tolerance=4)
    assert left_behind(tmp_path) == [path.name]


def test_png_is_exact(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (31, 17, 3), dtype=np.uint8)
    write_image(tmp_path / "a.png", rgb[:, ::-1])
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), rgb[:, ::-1])


def test_cmyk_without_profile(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=95)
    assert_colors(read_image(tmp_path / "a.jpg")[4, 4], (255, 0, 0))


def test_profile_is_converted(tmp_path):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.new("LAB", (4, 4), (255, 128, 128)).save(tmp_path / "a.tif", icc_profile=lab)
    assert_colors(read_image(tmp_path / "a.tif")[2, 2], (255, 255, 255), tolerance=3)


def gamma_profile(gamma, kind):
    """A profile whose pixels are light to a power, for gray or for the colours of sRGB."""

    def tagged(name, content):
        content += b"\0" * (-len(content) % 4)
        tags.append((name, content))

    tags: list[tuple[str, bytes]] = []
    curve = b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256))
    xyz = {"wtpt": (0.9642, 1.0, 0.8249)}
    xyz |= (
        {}
        if kind == "GRAY"
        else {
            "rXYZ": (0.4361, 0.2225, 0.0139),
            "gXYZ": (0.3851, 0.7169, 0.0971),
            "bXYZ": (0.1431, 0.0606, 0.7141),
        }
    )
    for name, values in xyz.items():
        tagged(name, b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values)))
    for name in ["kTRC"] if kind == "GRAY" else ["rTRC", "gTRC", "bTRC"]:
        tagged(name, curve)
    text = b"desc" + struct.pack(">II", 0, 2) + b"a\0" + bytes(79)
    tagged("desc", text)
    tagged("cprt", b"text\0\0\0\0none\0")
    offset = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for name, content in tags:
        table += struct.pack(">4sII", name.encode(), offset + len(data), len(content))
        data += content
    size = offset + len(data)
    header = struct.pack(
        ">I4sI4s4s4s", size, b"none", 0x02100000, b"mntr", kind.encode().ljust(4), b"XYZ "
    )
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + data


@pytest.mark.parametrize(
    ("mode", "kind", "gamma", "expected"),
    [
        # 128 of 255, as light to the power of gamma, as sRGB.
        ("RGB", "RGB", 1.0, 188),
        ("RGBA", "RGB", 1.0, 188),
        ("P", "RGB", 1.0, 188),
        ("L", "GRAY", 1.0, 188),
        ("LA", "GRAY", 1.0, 188),
        ("RGBA", "RGB", 1.8, 147),
        ("L", "GRAY", 3.0, 98),
        ("L", "RGB", 1.0, 188),
        ("RGB", "GRAY", 1.0, 128),  # a profile of other colours is none
        ("CMYK", "RGB", 1.0, 128),
    ],
)
def test_profiles_hold_for_pixels_of_any_kind(tmp_path, mode, kind, gamma, expected):
    gray = Image.new("RGB", (6, 4), (128, 128, 128))
    picture = gray.quantize(4) if mode == "P" else gray.convert(mode)
    suffix = "tif" if mode == "CMYK" else "png"
    picture.save(tmp_path / f"a.{suffix}", icc_profile=gamma_profile(gamma, kind))
    assert_colors(read_image(tmp_path / f"a.{suffix}")[2, 2], (expected,) * 3, tolerance=2)


def test_profiles_hold_for_colours_behind_alpha(tmp_path):
    picture = Image.new("RGBA", (6, 4), (128, 128, 128, 51))
    picture.save(tmp_path / "a.png", icc_profile=gamma_profile(1.0, "RGB"))
    expected = round(0.2 * 188 + 0.8 * 255)
    assert_colors(read_image(tmp_path / "a.png")[2, 2], (expected,) * 3, tolerance=2)


def test_broken_profile_is_ignored(tmp_path):
    Image.fromarray(quadrants()).save(tmp_path / "a.png", icc_profile=b"not a profile")
    assert_colors(corners(read_image(tmp_path / "a.png")), COLORS, tolerance=0)


def test_16_bit_gray(tmp_path):
    ramp = np.array([[0, 257, 32896, 65535]], np.uint16)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0, :, 0], [0, 1, 128, 255])


def test_dark_16_bit_gray_stays_dark(tmp_path):
    Image.fromarray(np.full((2, 2), 200, np.uint16)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").max() == 1


def test_float_gray(tmp_path):
    Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32)).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[0, :, 0], [0, 128, 255])


@pytest.mark.parametrize("extension", ["png", "webp", "tif"])
def test_alpha_over_white(tmp_path, extension):
    rgba = np.zeros((4, 6, 4), np.uint8)
    rgba[:, :2, 3], rgba[:, 2:4, 3] = 255, 128
    Image.fromarray(rgba).save(tmp_path / f"a.{extension}", lossless=True)
    row = read_image(tmp_path / f"a.{extension}")[0, ::2, 0]
    assert_colors(row, [0, 127, 255], tolerance=2)


def test_gray_alpha_and_transparent_palette(tmp_path):
    Image.new("LA", (4, 4), (0, 0)).save(tmp_path / "la.png")
    assert read_image(tmp_path / "la.png").min() == 255
    palette = Image.fromarray(quadrants()).quantize(4)
    palette.save(tmp_path / "p.png", transparency=palette.getpixel((0, 0)))
    assert_colors(corners(read_image(tmp_path / "p.png")), [(255,) * 3, GREEN, BLUE, GRAY])


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, GREEN)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert_colors(read_image(tmp_path / "a.gif")[0, 0], RED)


def test_decompression_bomb(tmp_path, monkeypatch):
    Image.new("1", (200, 200)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(MediaError, match="too many pixels"):
        read_image(tmp_path / "a.png")


def test_half_a_bomb_is_read_without_warning(tmp_path, monkeypatch):
    Image.new("L", (40, 40)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert read_image(tmp_path / "a.png").shape == (40, 40, 3)


def test_heic_says_what_to_do(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(64))
    with pytest.raises(MediaError, match="export it as JPEG"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("name", ["a.bmpx", "a", "a.gif", "a.mp4"])
def test_unknown_extension(tmp_path, name):
    with pytest.raises(MediaError, match="must end in"):
        write_image(tmp_path / name, quadrants())
    assert left_behind(tmp_path) == []


@pytest.mark.usefixtures("bad_argument")
@pytest.mark.parametrize(
    "array", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_wrong_arrays(tmp_path, array):
    with pytest.raises(ValueError, match="wanted a uint8 array"):
        write_image(tmp_path / "a.png", array)


def test_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(MediaError, match="No space left"):
        write_image(tmp_path / "a.png", quadrants())
    assert left_behind(tmp_path) == []
