"""VoxCeleb's folders with short videos of the bundled portrait."""

from __future__ import annotations

from support.media_clips import make_video
from support.raw_videos import talking_frames

HEADER = """Identity  : \t{identity}
Reference : \t{reference}
Offset    : \t-1
FV Conf   : \t16.140\t(1)
ASD Conf  : \t5.142

FRAME \tX \tY \tW \tH
"""
OPTIONS = {"crf": "10", "preset": "ultrafast"}


def write_list(folder, identity, reference, name="00001", num_frames=3):
    """A text file that names a video and where a face is in it."""
    path = folder / identity / reference / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = "".join(f"{frame:06d} \t70 \t70 \t110 \t110 \n" for frame in range(num_frames))
    path.write_text(HEADER.format(identity=identity, reference=reference) + rows)
    return path


def write_face_video(folder, identity, reference, num_frames=2):
    """VoxCeleb2's video of a face."""
    path = folder / identity / reference / "00001.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    make_video(path, talking_frames(num_frames), options=OPTIONS)
    return path


def write_cut_clip(folder, identity, reference="abcdefghijk", step=2, num_frames=4):
    """A clip as FOMM's preprocessing names them."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{identity}#{reference}#000100#{100 + num_frames:06d}.mp4"
    make_video(path, talking_frames(num_frames, step), options=OPTIONS)
    return path
