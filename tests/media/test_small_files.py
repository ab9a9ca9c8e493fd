"""No file under 1 MB keeps a command busy for long, or takes up much memory.

Each file is the costliest of its kind: `docs/reliability.md`, "Small files, measured".
"""

import json
import struct

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file
from support.costly_files import (
    ALIKE,
    boxes_changed,
    gif,
    jpeg_2000,
    muxed,
    progressive,
    side_of,
    tiff,
)
from support.data_rows import make_row
from support.measured import LIMIT_BYTES, LIMIT_SECONDS, measured
from support.media_clips import make_video
from support.still_folders import write_motion

from fnevr.config.presets import asset
from fnevr.data.manifest import write_manifest
from fnevr.media.bounds import MAX_PIXELS, MAX_PIXELS_OF, MAX_SCANS
from fnevr.media.image import KEPT_PIXELS

LARGEST_BYTES = 1_000_000
REFUSED_SECONDS = 8
PIXELS_OF_WHOLE_RUNS = 10_500_000  # their blocks fill five of the longest runs of a JPEG
EDIT = "edit {} --yaw 5 -o b.png"
MESH = "reconstruct3d {} -o b.obj"
DRIVE = "animate --driving {} -o b.mp4"
EXPRESS = "animate --sliders {} -o b.mp4"
STILLS = "prepare-stills . out --motion motion"
NO_FACE = "no face found"


def flat(mode, pixels):
    """A way to save a picture of one colour."""
    side = side_of(pixels)
    colour = 90 if mode in {"L", "I;16", "F"} else (90,) * len(mode)
    return lambda path, **how: Image.new(mode, (side, side), colour).save(path, **how)


def face(mode, pixels):
    """A way to save a face whose pixels are blocks, which take few bytes."""

    def save(path, **how):
        small = Image.open(asset("portrait.jpg")).resize((512, 512)).convert(mode)
        small.resize((side_of(pixels),) * 2, Image.Resampling.NEAREST).save(path, **how)

    return save


def with_options(save, **how):
    return lambda path: save(path, **how)


def scanned(pixels, num_components):
    """A way to save a JPEG of as many scans as are read."""
    return lambda path: path.write_bytes(progressive(side_of(pixels), MAX_SCANS, num_components))


def planes(pixels):
    """A way to save a TIFF file whose planes are JPEGs of many scans each."""
    side = side_of(pixels)
    return lambda path: path.write_bytes(tiff(side, 7, [progressive(side, 95)] * 4))


def runs(path):
    """A bitmap of runs of equal pixels."""
    side = side_of(MAX_PIXELS)
    full, rest = divmod(side, 255)
    rows = (b"\xff\1" * full + bytes([rest, 1]) + b"\0\0") * side + b"\0\1"
    header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(rows), 0, 0, 256, 0)
    start = 14 + len(header) + 1024
    file = b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start)
    path.write_bytes(file + header + bytes([90, 90, 90, 0]) * 256 + rows)


def fax(path):
    """A TIFF file, all strips of which are the same bytes."""
    side = side_of(MAX_PIXELS)
    stripes = np.add.outer(np.arange(16), np.arange(side) // 7) % 2 == 1
    Image.fromarray(stripes).save(path, "TIFF", compression="group4")
    with Image.open(path) as image:
        tags = vars(image)["tag_v2"]
    (start,), (length,) = tags[273], tags[279]
    strip = path.read_bytes()[start : start + length]
    path.write_bytes(tiff(side, 4, [strip], bits=1, photometric=0, rows=16))


def icon(path):
    flat("L", 177_000_000)(path.with_suffix(".png"))
    png = path.with_suffix(".png").read_bytes()
    entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 8, len(png), 22)
    path.write_bytes(struct.pack("<HHH", 0, 1, 1) + entry + png)


def large_frames(path):
    flat("L", 134_000_000)(path.with_suffix(".png"))
    muxed(path, [path.with_suffix(".png").read_bytes()] * 3, side_of(134_000_000), "png", "gray")


def claimed_frames(path):
    make_video(path)
    path.write_bytes(boxes_changed(path.read_bytes(), ALIKE))


def hour_of_silence(path):
    make_video(path, sound=np.zeros((1, 3600 * 44_100), "f4"), sound_codec="flac")


def frames_of_one_pixel(side, num_frames):
    return lambda path: path.write_bytes(gif(side, num_frames))


def text(content):
    return lambda path: path.write_text(content)


def stills(*rows):
    """A way to write a table of stills, beside a clip that would drive them."""

    def save(path):
        path.write_text("".join(f"{row}\n" for row in rows))
        write_motion(path.parent / "motion")

    return save


def config_of_many_keys(path):
    path.write_text(
        json.dumps({"architecture": "fnevr-lite"} | dict.fromkeys(map(str, range(60_000))))
    )
    save_file({str(index): np.zeros(1) for index in range(10)}, path.with_name("model.safetensors"))


def track_of_many_tensors(path):
    save_file({str(index): np.zeros(1, "i1") for index in range(14_000)}, path)


def views_of_little(path):
    torch.save({str(index): torch.zeros(1).expand(10**10) for index in range(3000)}, path)


def manifest_of_many_clips(path):
    write_manifest(path.parent, [make_row(str(index), split="train") for index in range(3500)])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "save", "command", "code", "message"),
    [
        ("rgb.png", face("RGB", KEPT_PIXELS), EDIT, 0, ""),
        ("rgb.png", face("RGB", KEPT_PIXELS), "animate -s {} --end 0.2 -o b.mp4", 0, ""),
        ("rgba.png", face("RGBA", KEPT_PIXELS * 1.02), EDIT, 0, "are reduced"),
        ("gray.png", face("L", MAX_PIXELS), EDIT, 0, "are reduced"),
        ("alpha.png", flat("RGBA", MAX_PIXELS), MESH, 2, NO_FACE),
        ("deep.png", flat("I;16", MAX_PIXELS), MESH, 2, NO_FACE),
        (
            "float.tif",
            with_options(flat("F", MAX_PIXELS), compression="tiff_adobe_deflate"),
            MESH,
            2,
            NO_FACE,
        ),
        (
            "cmyk.tif",
            with_options(flat("CMYK", MAX_PIXELS), compression="tiff_adobe_deflate"),
            MESH,
            2,
            NO_FACE,
        ),
        ("group4.tif", fax, MESH, 2, NO_FACE),
        ("planes.tif", planes(PIXELS_OF_WHOLE_RUNS), MESH, 2, NO_FACE),
        (
            "progressive.jpg",
            with_options(face("RGB", KEPT_PIXELS * 1.02), progressive=True, quality=10),
            EDIT,
            0,
            "are reduced",
        ),
        ("scans.jpg", scanned(MAX_PIXELS, 3), EDIT, 2, NO_FACE),
        ("cmyk.jpg", scanned(MAX_PIXELS_OF["JPEG in CMYK"], 4), EDIT, 2, NO_FACE),
        (
            "tiles.jp2",
            with_options(jpeg_2000, side=side_of(MAX_PIXELS_OF["JPEG2000"]), tile=44, layers=66),
            MESH,
            2,
            NO_FACE,
        ),
        (
            "a.webp",
            with_options(flat("RGBA", MAX_PIXELS_OF["WEBP"]), lossless=True, quality=0),
            EDIT + " --no-crop",
            0,
            "are reduced",
        ),
        ("a.avif", with_options(flat("RGB", MAX_PIXELS_OF["AVIF"]), speed=10), MESH, 2, NO_FACE),
        (
            "grain.avif",
            with_options(
                flat("RGB", 62_000_000), speed=10, codec="aom", advanced={"film-grain-test": "1"}
            ),
            MESH,
            2,
            NO_FACE,
        ),
        ("a.gif", flat("L", 119_000_000), MESH, 2, NO_FACE),
        ("a.bmp", runs, MESH, 2, NO_FACE),
        ("a.mkv", hour_of_silence, DRIVE, 2, NO_FACE),
        ("config.json", config_of_many_keys, "animate --model . -o b.mp4", 2, "not a valid model"),
        ("a.pth", views_of_little, "convert {} out", 2, "wanted the parts of one"),
        ("manifest.jsonl", manifest_of_many_clips, "train . out --steps 1", 2, "no such clip"),
        (
            "clips.tsv",
            text("name\tsplit\tidentity\tmotion\n" + "a\tval\tb\t0\n" * 80_000),
            "evaluate --data . --model lite --report out",
            2,
            "no pair could be scored",
        ),
        (
            "stills.tsv",
            stills("name\tsplit\tidentity", *(f"{i}\ttrain\t{i}" for i in range(45_000))),
            STILLS,
            2,
            "no still came out",
        ),
    ],
)
def test_the_costliest_that_are_read(tmp_path, name, save, command, code, message):
    save(tmp_path / name)
    assert (tmp_path / name).stat().st_size < LARGEST_BYTES
    done = measured(*command.format(name).split(), folder=tmp_path)
    assert done.code == code
    assert message in done.errors
    assert done.seconds < LIMIT_SECONDS
    assert done.peak_bytes < LIMIT_BYTES


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "save", "command", "message"),
    [
        (
            "blocks.jp2",
            with_options(jpeg_2000, side=side_of(MAX_PIXELS_OF["JPEG2000"]), block=(0, 0)),
            MESH,
            "asks for more work",
        ),
        (
            "precincts.jp2",
            with_options(jpeg_2000, side=side_of(MAX_PIXELS_OF["JPEG2000"]), precincts=0x22),
            MESH,
            "asks for more work",
        ),
        ("planes.tif", planes(112_000_000), MESH, "too many pixels"),
        ("cmyk.jpg", scanned(MAX_PIXELS, 4), EDIT, "too many pixels"),
        ("icon.ico", icon, MESH, "too many pixels"),
        ("four.gif", frames_of_one_pixel(10_908, 4), DRIVE, "asks for 4 frames"),
        ("sixty.gif", frames_of_one_pixel(2790, 60), DRIVE, "asks for 60 frames"),
        ("a.mov", large_frames, DRIVE, "larger than 36 megapixels"),
        ("a.mp4", claimed_frames, DRIVE, "claims more frames than it has bytes"),
        ("deep.json", text("[" * 450_000 + "]" * 450_000), EXPRESS, "cannot be read as JSON"),
        ("long.json", text('{"smile": ' + "9" * 900_000 + "}"), EXPRESS, "cannot be read as JSON"),
        ("a.safetensors", track_of_many_tensors, DRIVE, "is not a keypoint track"),
        (
            "stills.tsv",
            stills("name\tsplit\tidentity" + "\t" * 200_000, *["a\ttrain\tb"] * 40_000),
            STILLS,
            "columns, at most 1000 are read",
        ),
    ],
)
def test_the_costliest_that_are_refused(tmp_path, name, save, command, message):
    save(tmp_path / name)
    done = measured(*command.format(name).split(), folder=tmp_path)
    assert done.code == 2
    assert message in done.errors
    assert done.seconds < REFUSED_SECONDS
    assert done.peak_bytes < LIMIT_BYTES
