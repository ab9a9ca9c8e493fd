from __future__ import annotations

import numpy as np
import pytest

from fnevr.face3d.raster import (
    depth_picture,
    depth_range,
    normal_map,
    normal_picture,
    overlay_picture,
    rasterize,
    vertex_normals,
)

# Counter-clockwise as seen: y is down, depth is away from the camera.
SQUARE = np.array([[1.0, 1, 0], [1, 5, 0], [5, 5, 0], [5, 1, 0]])
FACES = np.array([[0, 1, 2], [0, 2, 3]])


def test_a_square_covers_its_pixels():
    raster = rasterize(SQUARE, FACES, 6, 8)
    expected = np.zeros((6, 8), bool)
    expected[1:5, 1:5] = True
    np.testing.assert_array_equal(raster.is_covered, expected)
    np.testing.assert_allclose(raster.weights[expected].sum(axis=-1), 1)


def test_weights_interpolate_the_corners():
    slanted = SQUARE + np.array([[0, 0, 1.0], [0, 0, 1], [0, 0, 5], [0, 0, 5]])
    raster = rasterize(slanted, FACES, 6, 8)
    np.testing.assert_allclose(raster.depth[3, 1:5], [1.5, 2.5, 3.5, 4.5])


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_triangle_is_seen(order):
    behind = np.array([0.0, 0, 3])
    triangles = np.stack([SQUARE[:3] + behind, SQUARE[:3] - behind])[list(order)]
    raster = rasterize(triangles.reshape(6, 3), np.arange(6).reshape(2, 3), 6, 6)
    assert set(raster.triangles[raster.is_covered]) == {order.index(1)}
    assert raster.depth.min() == pytest.approx(-3)


def test_what_lies_outside_the_picture_is_cut_off():
    raster = rasterize(SQUARE - 3, FACES, 6, 6)
    assert raster.is_covered.sum() == 4
    assert not rasterize(SQUARE + 100, FACES, 6, 6).is_covered.any()


def test_a_triangle_seen_from_its_edge_is_nothing():
    flat = np.array([[1.0, 1, 0], [3, 3, 0], [5, 5, 0]])
    assert not rasterize(flat, np.array([[0, 1, 2]]), 6, 6).is_covered.any()


def test_normals_point_to_the_camera():
    np.testing.assert_allclose(vertex_normals(SQUARE, FACES), [[0, 0, -1.0]] * 4)
    raster = rasterize(SQUARE, FACES, 6, 6)
    normals = normal_map(raster, SQUARE, FACES)
    np.testing.assert_allclose(normals[2, 2], [0, 0, -1])
    assert not normals[0].any()
    assert normal_picture(normals)[2, 2].tolist() == [128, 128, 255]
    assert normal_picture(normals)[0, 0].tolist() == [0, 0, 0]


def test_pictures():
    slanted = SQUARE + np.array([[0, 0, 1.0], [0, 0, 1], [0, 0, 5], [0, 0, 5]])
    raster = rasterize(slanted, FACES, 6, 8)
    depth = depth_picture(raster, *depth_range(raster))
    assert depth[0, 0].tolist() == [0, 0, 0]
    assert depth[3, 1, 0] == 255
    assert depth[3, 4, 0] == 40
    rgb = np.full((6, 8, 3), 10, np.uint8)
    drawn = overlay_picture(rgb, raster, normal_map(raster, slanted, FACES))
    assert drawn[0, 0].tolist() == [10, 10, 10]
    assert drawn[3, 3].min() > 20


def test_no_mesh_in_the_picture_leaves_it_as_it_is():
    raster = rasterize(SQUARE + 100, FACES, 6, 6)
    rgb = np.full((6, 6, 3), 10, np.uint8)
    assert (overlay_picture(rgb, raster, normal_map(raster, SQUARE, FACES)) == rgb).all()
    assert depth_picture(raster, *depth_range(raster)).max() == 0
