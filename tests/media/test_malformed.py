"""Broken, mislabelled and unusual inputs: a clear MediaError or the right result, and no litter.

Every case is a function that makes one input in an empty folder and returns its path.
"""

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image
from support.media_clips import beeping_sound, make_sound, make_video, quadrants

from fnevr.errors import MediaError
from fnevr.media.image import read_image, write_image
from fnevr.media.video import open_video
from fnevr.media.writer import VideoWriter

NOISE = np.random.default_rng(0).integers(0, 256, (40, 48, 64, 3), dtype=np.uint8)
TEXT = "Dear diary,\ntoday I filmed nothing at all.\n" * 50


def put(folder, name, data):
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def cut(path, fraction):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * fraction)])
    return path


def still(path, image=None, **options):
    (Image.fromarray(quadrants()) if image is None else image).save(path, **options)
    return path


def animation(path, **options):
    frames = [Image.fromarray(array) for array in NOISE[:6]]
    return still(path, frames[0], save_all=True, append_images=frames[1:], **options)


def hls(folder):
    video = make_video(folder / "real.ts")
    return put(
        folder,
        "a.mp4",
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.4,\n{video.name}\n#EXT-X-ENDLIST\n",
    )


def concat_script(folder):
    make_video(folder / "real.mp4")
    return put(folder, "a.mp4", "ffconcat version 1.0\nfile real.mp4\n")


def song_with_cover(folder):
    song = make_sound(folder / "plain.mp3", beeping_sound(0.5, []), "libmp3lame")
    cover = io.BytesIO()
    Image.fromarray(quadrants()).save(cover, "PNG")
    frame = b"\0image/png\0\x03\0" + cover.getvalue()
    tag = b"APIC" + struct.pack(">I", len(frame)) + b"\0\0" + frame
    size = bytes((len(tag) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    data = b"ID3\x03\0\0" + size + tag + song.read_bytes()
    song.unlink()
    return put(folder, "a.mp3", data)


def no_frames(folder):
    """A Matroska file that ends after its header."""
    path = make_video(folder / "a.mkv", num_frames=3)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\x1f\x43\xb6\x75")])
    return path


def garbled_frames(folder):
    """An MP4 whose structure is fine and whose pictures are all overwritten."""
    path = make_video(folder / "a.mp4", list(NOISE))
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    end = data.index(b"moov")
    data[start : end - 4] = b"\x42" * (end - 4 - start)
    return put(folder, "a.mp4", bytes(data))


def starts_between_key_frames(folder):
    path = make_video(folder / "a.ts", list(NOISE), options={"g": "20", "bf": "0"})
    data = path.read_bytes()
    packet = len(data) // 4 // 188
    return put(folder, "a.ts", data[: 188 * 3] + data[188 * packet :])


def changes_size(folder):
    parts = []
    for index, width in enumerate((64, 32)):
        part = make_video(folder / f"{index}.h264", [quadrants(width)] * 5)
        parts.append(part.read_bytes())
        part.unlink()
    return put(folder, "a.h264", b"".join(parts))


def folder_of(*contents):
    def make(folder):
        inside = folder / "frames"
        inside.mkdir()
        for name, data in contents:
            put(inside, name, data)
        return inside

    return make


def picture(size=(8, 6), extension="png"):
    buffer = io.BytesIO()
    Image.new("RGB", size, (9, 99, 199)).save(buffer, extension)
    return buffer.getvalue()


def fifo(folder):
    os.mkfifo(folder / "a.mp4")
    return folder / "a.mp4"


def loop(folder):
    (folder / "a.mp4").symlink_to(folder / "a.mp4")
    return folder / "a.mp4"


def link(folder):
    make_video(folder / "real.mp4")
    (folder / "a.mp4").symlink_to(folder / "real.mp4")
    return folder / "a.mp4"


def archive(folder):
    with zipfile.ZipFile(folder / "a.mp4", "w") as file:
        file.writestr("video.mp4", TEXT)
    return folder / "a.mp4"


def unreadable(folder):
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        pytest.skip("root may read anything")
    path = make_video(folder / "a.mp4")
    path.chmod(0)
    return path


def raw_stream(folder):
    return make_video(folder / "a.h264", options={"bf": "0"})


def swapped_pictures(folder):
    """Two frames that claim the same time."""
    return make_video(folder / "a.avi", codec="mjpeg", pix_fmt="yuvj420p", num_frames=2)


def huge_claim(folder):
    """A PNG of a few bytes that claims 60000 x 60000 pixels."""

    def chunk(kind, data):
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return put(folder, "a.png", b"\x89PNG\r\n\x1a\n" + data)


def broken_checksum(folder):
    data = bytearray(still(folder / "a.png").read_bytes())
    data[data.index(b"IDAT") + 8] ^= 0xFF
    return put(folder, "a.png", bytes(data))


def broken_exif(folder):
    return still(folder / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\xff\xff" + b"\xee" * 20)


def scan(folder, mode, name, **options):
    return still(folder / name, Image.new(mode, (8, 6), 0), **options)


# name: (how to make it, what MediaError says, or how many frames are read)
VIDEOS: dict[str, tuple[Callable, str | int | range]] = {
    "missing": (lambda d: d / "none.mp4", "no such file"),
    "address on the web": (lambda d: "http://localhost:1/a.mp4", "no such file"),
    "name with a zero byte": (lambda d: "a\0.mp4", "cannot read|no such file"),
    "empty file": (lambda d: put(d, "a.mp4", b""), "is empty"),
    "one byte": (lambda d: put(d, "a.mp4", b"x"), "not a video"),
    "text as mp4": (lambda d: put(d, "a.mp4", TEXT), "not a video"),
    "text as txt": (lambda d: put(d, "a.txt", TEXT), "not a video"),
    "text as avi": (lambda d: put(d, "a.avi", TEXT), "not a video"),
    "subtitles": (lambda d: put(d, "a.srt", "1\n00:00:00,0 --> 00:00:01,0\nHi\n"), "not a video"),
    "web page": (lambda d: put(d, "a.mp4", "<!DOCTYPE html><p>404</p>"), "not a video"),
    "playlist": (hls, "playlist|not a video"),
    "concat script": (concat_script, "playlist|not a video"),
    "session description": (
        lambda d: put(d, "a.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 9 RTP/AVP 96\n"),
        "playlist|not a video",
    ),
    "archive": (archive, "not a video"),
    "zeros": (lambda d: put(d, "a.mp4", bytes(5000)), "not a video"),
    "random bytes": (lambda d: put(d, "a.mkv", NOISE.tobytes()[:20000]), "not a video|no frame"),
    "pipe": (fifo, "not a regular file"),
    "device": (lambda d: os.devnull, "not a regular file"),
    "link to itself": (loop, "cannot read|no such file"),
    "link to a video": (link, 10),
    "no permission": (unreadable, "cannot read"),
    "sound only, mp3": (
        lambda d: make_sound(d / "a.mp3", beeping_sound(0.5, []), "libmp3lame"),
        "only sound",
    ),
    "sound only, wav": (
        lambda d: make_sound(d / "a.wav", beeping_sound(0.5, []), "pcm_s16le"),
        "only sound",
    ),
    "sound only, mp4": (
        lambda d: make_sound(d / "a.mp4", beeping_sound(0.5, []), "aac"),
        "only sound",
    ),
    "song with a cover": (song_with_cover, "only sound"),
    "mp4 cut before its index": (lambda d: cut(make_video(d / "a.mp4", NOISE), 0.5), "not a video"),
    "mp4 of 60 bytes": (lambda d: cut(make_video(d / "a.mp4"), 0.02), "not a video"),
    "matroska without frames": (no_frames, "no frame|not a video|no video"),
    "all frames overwritten": (garbled_frames, "no frame"),
    "matroska cut in half": (
        lambda d: cut(make_video(d / "a.mkv", NOISE, options={"bf": "0"}), 0.5),
        range(10, 30),
    ),
    "avi cut in half": (
        lambda d: cut(make_video(d / "a.avi", NOISE, codec="mpeg4"), 0.5),
        range(10, 30),
    ),
    "starts between key frames": (starts_between_key_frames, range(15, 31)),
    "changes its size": (changes_size, range(9, 11)),
    "stream without times": (raw_stream, 10),
    "jpeg called mp4": (lambda d: still(d / "x.jpg").rename(d / "a.mp4"), 1),
    "mp4 called jpg": (lambda d: make_video(d / "x.mp4").rename(d / "a.jpg"), 10),
    "gif called mp4": (lambda d: animation(d / "x.gif").rename(d / "a.mp4"), 6),
    "mp4 without extension": (lambda d: make_video(d / "x.mp4").rename(d / "a"), 10),
    "one frame": (lambda d: make_video(d / "a.mp4", num_frames=1), 1),
    "one pixel": (
        lambda d: make_video(d / "a.mkv", [quadrants(1, 1)] * 2, codec="ffv1", pix_fmt="bgr0"),
        2,
    ),
    "motion jpeg": (swapped_pictures, 2),
    "one frame a minute": (
        lambda d: make_video(d / "a.mp4", rate=Fraction(1, 60), num_frames=3),
        3,
    ),
    "240 frames a second": (lambda d: make_video(d / "a.mp4", rate=Fraction(240)), 10),
    "gif cut after some frames": (lambda d: cut(animation(d / "a.gif"), 0.6), range(1, 6)),
    "gif cut in its first frame": (
        lambda d: cut(animation(d / "a.gif"), 0.05),
        "damaged|cannot|not",
    ),
    "gif header alone": (lambda d: put(d, "a.gif", b"GIF89a"), "not an image"),
    "webp cut in half": (lambda d: cut(animation(d / "a.webp"), 0.5), "not an image|damaged"),
    "png cut in half": (lambda d: cut(still(d / "a.png"), 0.5), "damaged"),
    "empty folder": (folder_of(), "no pictures"),
    "folder without pictures": (folder_of(("a.txt", TEXT), ("b.mp4", b"")), "no pictures"),
    "folder with two sizes": (
        folder_of(("1.png", picture()), ("2.png", picture((6, 8)))),
        "differ in size",
    ),
    "folder with an empty picture": (folder_of(("1.png", picture()), ("2.png", b"")), "is empty"),
    "folder with text as a picture": (folder_of(("1.png", TEXT)), "not an image"),
    "folder whose first picture is cut": (folder_of(("1.png", picture()[:45])), "damaged"),
    "folder whose last picture is cut": (
        folder_of(("1.png", picture()), ("2.png", picture()), ("3.png", picture()[:45])),
        2,
    ),
    "folder of several formats": (
        folder_of(("1.png", picture()), ("2.JPG", picture(extension="jpeg"))),
        2,
    ),
}

# name: (how to make it, what MediaError says, or the shape that is read)
IMAGES: dict[str, tuple[Callable, str | tuple[int, int, int]]] = {
    "missing": (lambda d: d / "none.png", "no such file"),
    "folder": (folder_of(), "not a regular file"),
    "empty file": (lambda d: put(d, "a.png", b""), "is empty"),
    "text": (lambda d: put(d, "a.jpg", TEXT), "not an image"),
    "jpeg cut in half": (
        lambda d: cut(still(d / "a.jpg", Image.fromarray(NOISE[0])), 0.5),
        "damaged",
    ),
    "jpeg header alone": (lambda d: put(d, "a.jpg", b"\xff\xd8\xff\xe0"), "not an image"),
    "png cut in half": (lambda d: cut(still(d / "a.png"), 0.5), "damaged"),
    "png with a wrong checksum": (broken_checksum, "damaged"),
    "tiff cut in half": (lambda d: cut(still(d / "a.tif"), 0.5), "damaged|not an image"),
    "bmp cut in half": (lambda d: cut(still(d / "a.bmp"), 0.5), "damaged"),
    "webp cut in half": (lambda d: cut(still(d / "a.webp"), 0.5), "damaged|not an image"),
    "claims 3.6 gigapixels": (huge_claim, "too many pixels"),
    "video": (lambda d: make_video(d / "a.mp4"), "looks like a video"),
    "vector drawing": (lambda d: put(d, "a.svg", "<svg xmlns='x'/>"), "not an image"),
    "program in PostScript": (
        lambda d: put(d, "a.eps", "%!PS-Adobe-3.0 EPSF-3.0\n"),
        "not an image",
    ),
    "document": (lambda d: put(d, "a.pdf", b"%PDF-1.4\n"), "not an image"),
    "jpeg with broken EXIF": (broken_exif, (48, 64, 3)),
    "png called jpg": (lambda d: still(d / "x.png").rename(d / "a.jpg"), (48, 64, 3)),
    "one pixel": (lambda d: still(d / "a.png", Image.new("RGB", (1, 1))), (1, 1, 3)),
    "two colours": (lambda d: scan(d, "1", "a.png"), (6, 8, 3)),
    "gray": (lambda d: scan(d, "L", "a.jpg"), (6, 8, 3)),
    "gray with alpha": (lambda d: scan(d, "LA", "a.png"), (6, 8, 3)),
    "palette": (lambda d: scan(d, "P", "a.png"), (6, 8, 3)),
    "CMYK": (lambda d: scan(d, "CMYK", "a.jpg"), (6, 8, 3)),
    "16 bit": (lambda d: scan(d, "I;16", "a.png"), (6, 8, 3)),
    "32 bit integers": (lambda d: scan(d, "I", "a.tif"), (6, 8, 3)),
    "floats": (lambda d: scan(d, "F", "a.tif"), (6, 8, 3)),
    "YCbCr": (lambda d: scan(d, "YCbCr", "a.tif"), (6, 8, 3)),
    "animated": (lambda d: animation(d / "a.webp"), (48, 64, 3)),
}


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def copy_frames(path, target):
    """Read a video and write it again; return how many frames it had."""
    with open_video(path) as video:
        info = video.info
        frames = iter(video)
        with VideoWriter(
            target, info.width, info.height, info.frame_rate, audio_from=path
        ) as writer:
            last = Fraction(-1)
            for frame in frames:
                assert frame.rgb.shape == (info.height, info.width, 3)
                assert frame.time > last
                last = frame.time
                writer.write(frame.rgb, frame.time)
        return writer.num_frames


@pytest.mark.parametrize("case", VIDEOS)
def test_video(tmp_path, case):
    make, expected = VIDEOS[case]
    path = make(tmp_path)
    before = listing(tmp_path)
    target = tmp_path / "out.mp4"
    if isinstance(expected, str):
        with pytest.raises(MediaError, match=expected) as caught:
            copy_frames(path, target)
        assert len(str(caught.value)) > 25, "it says what and what to do"
    else:
        count = copy_frames(path, target)
        assert count in ([expected] if isinstance(expected, int) else expected)
        with av.open(str(target)) as container:
            assert container.streams.video[0].frames == count
        target.unlink()
    assert listing(tmp_path) == before


@pytest.mark.parametrize("case", IMAGES)
def test_image(tmp_path, case):
    make, expected = IMAGES[case]
    path = make(tmp_path)
    before = listing(tmp_path)
    target = tmp_path / "out.png"
    if isinstance(expected, str):
        with pytest.raises(MediaError, match=expected):
            write_image(target, read_image(path))
    else:
        rgb = read_image(path)
        assert (rgb.shape, rgb.dtype) == (expected, np.uint8)
        write_image(target, rgb)
        target.unlink()
    assert listing(tmp_path) == before


def test_there_are_enough_cases():
    assert len(VIDEOS) + len(IMAGES) >= 80
