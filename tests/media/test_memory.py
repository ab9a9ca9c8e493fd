"""Streaming: memory does not grow with the length of the driver."""

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from support.media_clips import beeping_sound, make_video

SIZE = (288, 360, 3)
SHORT, LONG = 150, 1000  # the short one already fills the queues of both codecs
READ = """
import resource, sys
from fnevr.media.video import open_video
with open_video(sys.argv[1]) as video:
    count = sum(1 for frame in video)
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
COPY = """
import resource, sys
from fnevr.media.video import VideoWriter, open_video
source, target = sys.argv[1:]
with open_video(source) as video:
    info = video.info
    with VideoWriter(target, info.width, info.height, info.frame_rate, audio_from=source) as writer:
        for frame in video:
            writer.write(frame.rgb, frame.time)
print(writer.num_frames, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def measure(script, *arguments):
    """Run a script in a process of its own: frames it saw, and its peak memory in KiB."""
    pytest.importorskip("resource", reason="peak memory is measured on Unix only")
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    count, peak = done.stdout.split()
    return int(count), int(peak)


@pytest.fixture(scope="module")
def drivers(tmp_path_factory):
    """A short and a long driver, with sound."""
    folder = tmp_path_factory.mktemp("drivers")
    frame = np.zeros(SIZE, np.uint8)
    return [
        make_video(
            folder / f"{count}.mp4",
            [frame] * count,
            options={"preset": "ultrafast"},
            sound=beeping_sound(Fraction(count, 25), []),
        )
        for count in (SHORT, LONG)
    ]


@pytest.mark.parametrize("script", [READ, COPY], ids=["read", "copy"])
def test_peak_memory_is_that_of_a_short_video(drivers, tmp_path, script):
    targets = [tmp_path / "out.mp4"] if script is COPY else []
    short_count, short_peak = measure(script, drivers[0], *targets)
    long_count, long_peak = measure(script, drivers[1], *targets)
    assert (short_count, long_count) == (SHORT, LONG)
    held = (LONG - SHORT) * np.prod(SIZE) / 1024
    assert long_peak - short_peak < held / 20, "not even a twentieth of the frames is kept"
    assert long_peak < 1.1 * short_peak
