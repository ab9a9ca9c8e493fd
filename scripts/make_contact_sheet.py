"""Lay frames of a video, evenly spaced in time, side by side in one picture.

    python scripts/make_contact_sheet.py result.mp4 result.png --source me.jpg

The video is read twice and never held: once to count its frames, once to take some of them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fnevr.animation.contact_sheet import around_face, contact_sheet, spaced_frames
from fnevr.errors import FnevrError
from fnevr.media.image import check_image_target, read_image, write_image

BAD_INPUT = 2


def main() -> None:
    """Parse the command line and write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--source", type=Path, help="a picture to show first")
    parser.add_argument("--around-face", action="store_true", help="cut out the face")
    parser.add_argument("--frames", type=int, default=7, help="frames of the video to show")
    parser.add_argument("--columns", type=int, default=4)
    parser.add_argument("--height", type=int, default=256, help="of a tile, in pixels")
    arguments = parser.parse_args()
    try:
        check_image_target(arguments.sheet)
        tiles = [read_image(arguments.source)] if arguments.source else []
        tiles += spaced_frames(arguments.video, arguments.frames)
        if arguments.around_face:
            tiles = around_face(tiles)
        write_image(arguments.sheet, contact_sheet(tiles, arguments.columns, arguments.height))
    except FnevrError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(BAD_INPUT)


if __name__ == "__main__":
    main()
