"""Lay frames of a video, evenly spaced in time, side by side in one picture.

    python scripts/make_contact_sheet.py result.mp4 result.png --source me.jpg

The video is read twice and never held: once to count its frames, once to take some of them.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from fnevr.errors import FnevrError
from fnevr.faces.crop import crop, crop_box
from fnevr.faces.find import find_face
from fnevr.media.image import check_image_target, read_image, write_image
from fnevr.media.video import open_video

GAP = 4  # white pixels between tiles
BAD_INPUT = 2


def contact_sheet(tiles: list[np.ndarray], num_columns: int, tile_height: int) -> np.ndarray:
    """Arrange pictures in rows, each scaled to one height and centred in its cell.

    Args:
        tiles: uint8 (H, W, 3), of any sizes.
        num_columns: tiles in a row.
        tile_height: in pixels.

    Returns:
        One picture, uint8 (H, W, 3).
    """
    scaled = [_scaled(tile, tile_height) for tile in tiles]
    width = max(tile.shape[1] for tile in scaled)
    num_rows = math.ceil(len(scaled) / num_columns)
    size = (num_rows * (tile_height + GAP) - GAP, num_columns * (width + GAP) - GAP, 3)
    sheet = np.full(size, 255, np.uint8)
    for index, tile in enumerate(scaled):
        row, column = divmod(index, num_columns)
        top = row * (tile_height + GAP)
        left = column * (width + GAP) + (width - tile.shape[1]) // 2
        sheet[top : top + tile_height, left : left + tile.shape[1]] = tile
    return sheet


def spaced_frames(path: Path, num_wanted: int) -> list[np.ndarray]:
    """Take frames of a video that are evenly spaced, the first and the last among them.

    Args:
        path: the video.
        num_wanted: how many; all frames if there are fewer.

    Returns:
        The frames, uint8 (H, W, 3), in order.
    """
    with open_video(path) as video:
        num_frames = sum(1 for _ in video)
        wanted = {round(i) for i in np.linspace(0, num_frames - 1, num_wanted)}
        return [frame.rgb for index, frame in enumerate(video) if index in wanted]


def around_face(tiles: list[np.ndarray]) -> list[np.ndarray]:
    """Cut the same square out of pictures of one size: the face of the first, and its neck."""
    box = crop_box(find_face(tiles[0]))
    return [crop(tile, box, round(box.size)) for tile in tiles]


def _scaled(tile: np.ndarray, height: int) -> np.ndarray:
    width = max(1, round(tile.shape[1] * height / tile.shape[0]))
    return np.asarray(Image.fromarray(tile).resize((width, height), Image.Resampling.LANCZOS))


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
