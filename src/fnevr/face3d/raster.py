"""Which triangle of a mesh each pixel shows, and pictures of it: shading, depth, normals.

A plain z-buffer in numpy: about a thousand triangles take some tens of milliseconds, and nothing
is differentiable. Pixels: the centre of the first one is at (0.5, 0.5).

Shapes: V vertices, F triangles, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

from fnevr.media.strips import strips

STRIP_SHARE = 8  # by how much strips are smaller than those of pictures
LIGHT = np.array([-0.3, -0.4, -0.87])  # from the viewer's upper left, towards the face
CLAY = np.array([205.0, 200.0, 190.0])


@dataclass(frozen=True)
class Raster:
    """What each pixel shows of a mesh.

    Attributes:
        triangles: index of the nearest triangle, -1 where there is none.
        weights: barycentric coordinates in it.
        depth: of the surface, in the vertices' unit; infinite where there is none.
    """

    triangles: Int[np.ndarray, "H W"]
    weights: Float[np.ndarray, "H W 3"]
    depth: Float[np.ndarray, "H W"]

    @property
    def is_covered(self) -> np.ndarray:
        """Where the mesh is."""
        return self.triangles >= 0


def rasterize(
    vertices_px: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], height: int, width: int
) -> Raster:
    """Draw the nearest triangle of each pixel, whichever side it shows.

    Args:
        vertices_px: x, y and depth, which grows away from the camera.
        faces: triangles.
        height: of the picture.
        width: of the picture.
    """
    raster = Raster(
        np.full((height, width), -1, np.int64),
        np.zeros((height, width, 3)),
        np.full((height, width), np.inf),
    )
    for index, corners in enumerate(vertices_px[faces].astype(np.float64)):
        low = np.floor(corners[:, :2].min(axis=0) - 0.5).astype(int).clip(0)
        high = np.ceil(corners[:, :2].max(axis=0) + 0.5).astype(int).clip(0, (width, height))
        if (high > low).all():
            _draw(raster, index, corners, low, high)
    return raster


def _draw(
    raster: Raster, index: int, corners: np.ndarray, low: np.ndarray, high: np.ndarray
) -> None:
    """Put one triangle into the buffers, where it is in front."""
    x, y = np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1])[:, None] + 0.5
    (ax, ay), (bx, by), (cx, cy) = corners[:, :2]
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    if abs(area) < 1e-9:
        return
    second = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) / area
    third = ((y - ay) * (bx - ax) - (x - ax) * (by - ay)) / area
    weights = np.stack([1 - second - third, second, third], axis=-1)
    depth = weights @ corners[:, 2]
    window = slice(low[1], high[1]), slice(low[0], high[0])
    is_seen = (weights >= -1e-9).all(axis=-1) & (depth < raster.depth[window])
    raster.triangles[window][is_seen] = index
    raster.weights[window][is_seen] = weights[is_seen]
    raster.depth[window][is_seen] = depth[is_seen]


def windows(
    vertices_px: Float[np.ndarray, "V 3"], height: int, width: int
) -> Iterator[tuple[slice, slice]]:
    """Divide the box around a mesh, as far as it is in the picture, into strips of few rows.

    What is drawn takes fifty times the memory of a picture, so it is drawn strip by strip.

    Yields:
        Rows and columns of the picture.
    """
    limit = np.array([width, height])
    low = np.floor(vertices_px[:, :2].min(axis=0) - 1).clip(0, limit).astype(int)
    high = np.ceil(vertices_px[:, :2].max(axis=0) + 1).clip(low, limit).astype(int)
    if (high == low).any():
        return
    for first, last in strips(int(high[1] - low[1]), int(high[0] - low[0]) * STRIP_SHARE):
        yield (
            slice(int(low[1]) + first, int(low[1]) + last),
            slice(int(low[0]), int(high[0])),
        )


def rasterize_window(
    vertices_px: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    window: tuple[slice, slice],
) -> Raster:
    """Draw a part of the picture alone, as `rasterize` draws all of it."""
    rows, columns = window
    moved = vertices_px - np.array([columns.start, rows.start, 0.0])
    return rasterize(moved, faces, rows.stop - rows.start, columns.stop - columns.start)


def vertex_normals(
    vertices_px: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]
) -> Float[np.ndarray, "V 3"]:
    """Return unit normals that point outwards, towards the camera at the front of a face.

    Args:
        vertices_px: x to the right, y down, depth away from the camera.
        faces: counter-clockwise seen from outside.
    """
    a, b, c = (vertices_px[faces[:, i]] for i in range(3))
    across = np.cross(b - a, c - a)  # twice the area long
    normals = np.zeros_like(vertices_px)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], across)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def normal_map(
    raster: Raster, vertices_px: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]
) -> Float[np.ndarray, "H W 3"]:
    """Return the surface's unit normal at each pixel, zeros where there is none."""
    corners = vertex_normals(vertices_px, faces)[faces[raster.triangles]]
    normals = np.einsum("hwk,hwkc->hwc", raster.weights, corners)
    return normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)


def normal_picture(normals: Float[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    """Draw normals in the usual colours: red to the right, green up, blue to the camera."""
    is_covered = normals.any(axis=-1, keepdims=True)
    colours = 127.5 + 127.5 * normals * np.array([1.0, -1.0, -1.0])
    return (colours * is_covered).round().clip(0, 255).astype(np.uint8)


def depth_range(raster: Raster) -> tuple[float, float]:
    """Return the nearest and the farthest depth that is seen; (inf, -inf) if there is none."""
    depths = raster.depth[raster.is_covered]
    return float(depths.min(initial=np.inf)), float(depths.max(initial=-np.inf))


def depth_picture(raster: Raster, nearest: float, farthest: float) -> UInt8[np.ndarray, "H W 3"]:
    """Draw depth as gray, from white at the nearest point to dark at the farthest; else black."""
    gray = np.zeros(raster.depth.shape)
    depths = raster.depth[raster.is_covered]
    gray[raster.is_covered] = 255 - 215 * (depths - nearest) / max(farthest - nearest, 1e-9)
    return np.repeat(gray.round().astype(np.uint8)[..., None], 3, axis=-1)


def overlay_picture(
    rgb: UInt8[np.ndarray, "H W 3"],
    raster: Raster,
    normals: Float[np.ndarray, "H W 3"],
    opacity: float = 0.65,
) -> UInt8[np.ndarray, "H W 3"]:
    """Lay the mesh over the picture as if it were of clay, its triangles' edges darker."""
    light = (normals @ LIGHT).clip(0, 1)[..., None]
    edge = (raster.weights.min(axis=-1) < 0.04)[..., None]
    clay = CLAY * (0.25 + 0.75 * light) * np.where(edge, 0.75, 1.0)
    share = opacity * raster.is_covered[..., None]
    return ((1 - share) * rgb + share * clay).round().clip(0, 255).astype(np.uint8)
