import subprocess
import sys
from pathlib import Path

import numpy as np
from support.media_clips import make_video

from fnevr.media.image import read_image, write_image

SCRIPT = Path(__file__).parent.parent / "scripts" / "make_contact_sheet.py"


def run(*arguments):
    command = [sys.executable, SCRIPT, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_tiles_are_the_source_and_evenly_spaced_frames(tmp_path):
    levels = np.arange(13) * 20
    make_video(tmp_path / "v.mp4", [np.full((64, 64, 3), level, np.uint8) for level in levels])
    write_image(tmp_path / "source.png", np.full((32, 64, 3), 200, np.uint8))
    options = ("--source", tmp_path / "source.png", "--frames", "3", "--height", "16")
    done = run(tmp_path / "v.mp4", tmp_path / "sheet.png", *options, "--columns", "2")
    assert done.returncode == 0, done.stderr
    sheet = read_image(tmp_path / "sheet.png")
    assert sheet.shape == (16 + 4 + 16, 32 + 4 + 32, 3)
    middles = [sheet[y, x, 0] for y in (8, 28) for x in (16, 52)]
    np.testing.assert_allclose(np.array(middles, int), [200, 0, 120, 240], atol=4)


def test_bad_input_is_a_message(tmp_path):
    done = run(tmp_path / "no.mp4", tmp_path / "sheet.png")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: no such file")
    assert list(tmp_path.iterdir()) == []
