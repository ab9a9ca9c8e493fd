"""Raw videos made of the bundled portrait, for the tests of fnevr.data."""

from __future__ import annotations

from support.media_clips import make_video

from fnevr.config.presets import asset
from fnevr.data.settings import PrepareSettings
from fnevr.media.image import read_image

QUICK = PrepareSettings(min_seconds=0.3, min_frames=8, licence="test")
"""Settings that such short videos pass."""


def talking_frames(num_frames, step=2):
    """The portrait, whose face is 109 pixels high, moving to the right."""
    picture = read_image(asset("portrait.jpg"))
    return [picture[:256, 100 - step * i : 356 - step * i] for i in range(num_frames)]


def write_raw_videos(folder):
    """Three videos of two people; one of them in a sub-folder."""
    (folder / "ann").mkdir(parents=True)
    options = {"crf": "10", "preset": "ultrafast"}
    make_video(folder / "ann" / "one.mp4", talking_frames(12), options=options)
    make_video(folder / "ann" / "two.mp4", talking_frames(10, step=-1), options=options)
    make_video(folder / "bob.mp4", talking_frames(11, step=3), options=options)
    return folder
