"""Frames of a video side by side in one picture."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image

from fnevr.animation.source import CANVAS
from fnevr.faces.crop import crop, crop_box
from fnevr.faces.find import find_face
from fnevr.media.video import open_video

GAP = 4  # white pixels between tiles


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


def around_face(tiles: list[np.ndarray], face: int | None = None) -> list[np.ndarray]:
    """Cut the same square out of pictures of one size: a face of the first, and its neck.

    Args:
        tiles: uint8 (H, W, 3), of one size.
        face: which face, the largest being 0; None means the largest.

    Raises:
        FaceError: if there is no such face.
    """
    box = crop_box(find_face(tiles[0], face)).grown(CANVAS)
    return [crop(tile, box, round(box.size)) for tile in tiles]


def _scaled(tile: np.ndarray, height: int) -> np.ndarray:
    width = max(1, round(tile.shape[1] * height / tile.shape[0]))
    return np.asarray(Image.fromarray(tile).resize((width, height), Image.Resampling.LANCZOS))
