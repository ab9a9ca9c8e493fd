"""Small files that ask a decoder for much work."""

from __future__ import annotations

import struct
from fractions import Fraction

import av
from PIL import Image

from fnevr.media.samples import CONTAINERS

MANY = 10_000_000
# Boxes of an MP4 file that claim so many frames, all alike.
ALIKE = {
    b"stsz": struct.pack(">III", 0, 1, MANY),
    b"stsc": struct.pack(">IIIII", 0, 1, 1, MANY, 1),
    b"stts": struct.pack(">IIII", 0, 1, MANY, 512),
}


def side_of(pixels):
    """The side of the largest square of fewer pixels."""
    return int((pixels - 1) ** 0.5)


def progressive(side, num_scans, num_components=1):
    """A JPEG of nothing, whose scans each say in runs that all blocks stay as they are.

    Its components are scanned in turn.
    """

    def segment(kind, content):
        return bytes([0xFF, kind]) + struct.pack(">H", len(content) + 2) + content

    runs, rest = divmod((-(-side // 8)) ** 2, 2**15 - 1)
    # Of the two symbols, one starts a run (with 14 bits of its length); one is a run of one block.
    bits = f"{'0' + '1' * 14}" * runs + "10" * rest
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    components = range(1, num_components + 1)
    size = struct.pack(">BHHB", 8, side, side, num_components)
    parts = [
        b"\xff\xd8" + segment(0xDB, b"\0" + b"\x10" * 64),
        segment(0xC2, size + b"".join(bytes([number]) + b"\x11\0" for number in components)),
        segment(0xC4, b"\x10" + bytes([1, 1] + [0] * 14) + b"\xe0\0"),
    ]
    for index in range(num_scans):
        turn, component = divmod(index, num_components)
        header = bytes([1, component + 1, 0, 1, 0x3F, 0x10 if turn else 1])
        parts.append(segment(0xDA, header) + scan)
    return b"".join([*parts, b"\xff\xd9"])


def gif(side, num_frames):
    """A GIF with a large canvas and frames of one pixel."""
    data = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(3) + b"\xff" * 3
    for index in range(num_frames):
        data += b"\x21\xf9\x04" + struct.pack("<BHB", 0, 5, 0) + b"\0"
        data += b"\x2c" + struct.pack("<HHHHB", index, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    return data + b";"


def jpeg_2000(path, *, side=200, tile=None, layers=1, block=(4, 4), precincts=None, component=None):
    """Write a picture whose header says how it is coded, as some tile or component may say too."""
    tiles = {} if tile is None else {"tile_size": (tile, tile)}
    Image.new("RGB", (side, side), (90, 60, 30)).save(path, "JPEG2000", **tiles)
    data = bytearray(path.read_bytes())
    start = data.index(b"\xff\x52")
    coded = data[start + 4 : start + 2 + data[start + 3]]
    levels = coded[5] + 1
    coded[1 + 1 : 4] = struct.pack(">H", layers)
    coded[6:8] = bytes(block)
    if precincts is not None:
        coded[0] |= 1
        coded += bytes([precincts]) * levels
    segment = b"\xff\x52" + struct.pack(">H", len(coded) + 2) + coded
    if component is not None:
        own = bytes([component, coded[0]]) + coded[5:]
        segment = bytes(data[start : start + 14]) + b"\xff\x53"
        segment += struct.pack(">H", len(own) + 2) + own
    data[start : start + 14] = segment
    box = data.index(b"jp2c") - 4
    data[box : box + 4] = bytes(4)  # it reaches to the end of the file
    path.write_bytes(data)


def tiff(side, compression, planes, *, bits=8, photometric=5, rows=None):
    """A TIFF file of strips that are compressed already; each plane has one that is repeated."""
    rows = rows or side
    num_strips = -(-side // rows)
    first, offsets, counts = 8, [], []
    for strip in planes:
        offsets += [first] * num_strips
        counts += [len(strip)] * num_strips
        first += len(strip) + len(strip) % 2
    tags = {
        256: [side],
        257: [side],
        258: [bits] * len(planes),
        259: [compression],
        262: [photometric],
        273: offsets,
        277: [len(planes)],
        278: [rows],
        279: counts,
        284: [2 if len(planes) > 1 else 1],
    }
    strips = b"".join(strip + bytes(len(strip) % 2) for strip in planes)
    entries, lists = struct.pack("<H", len(tags)), b""
    lists_start = first + 2 + 12 * len(tags) + 4
    for tag, values in tags.items():
        content = struct.pack(f"<{len(values)}I", *values)
        if len(values) > 1:
            place = struct.pack("<I", lists_start + len(lists))
            lists += content
        else:
            place = content
        entries += struct.pack("<HHI", tag, 4, len(values)) + place
    return b"II*\0" + struct.pack("<I", first) + strips + entries + bytes(4) + lists


def muxed(path, pictures, side, codec="mjpeg", pix_fmt="yuvj420p"):
    """A video whose frames are given, with the size of the first in its header."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25)
        stream.width = stream.height = side
        stream.pix_fmt = pix_fmt
        for index, picture in enumerate(pictures):
            packet = av.Packet(picture)
            packet.stream, packet.pts, packet.dts = stream, index, index
            packet.time_base = Fraction(1, 25)
            file.mux(packet)


def boxes_changed(data, changes):
    """Return an MP4 file with the content of some boxes replaced, at any depth."""
    result = b""
    while data:
        size, kind = struct.unpack(">I4s", data[:8])
        content, data = data[8:size], data[size:]
        if kind in CONTAINERS:
            content = boxes_changed(content, changes)
        content = changes.get(kind, content)
        result += struct.pack(">I4s", len(content) + 8, kind) + content
    return result
