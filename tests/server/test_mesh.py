"""The head in 3D."""

import numpy as np
from support.web import files_of, visitor

from fnevr.config.presets import asset
from fnevr.face3d.reconstruction import reconstruct
from fnevr.media.image import read_image


def test_it_is_the_mesh_of_the_library(app):
    mesh = visitor(app).get("/api/pictures/portrait/mesh").json()
    fit = reconstruct(read_image(asset("portrait.jpg")))
    np.testing.assert_allclose(mesh["vertices"], fit.vertices[0], atol=1e-5)
    np.testing.assert_allclose(mesh["places"], fit.vertices_px[0, :, :2] / 512, atol=1e-5)
    assert np.max(mesh["triangles"]) == len(mesh["vertices"]) - 1


def test_the_file_is_gltf_and_nothing_is_left(app):
    before = files_of(app)
    answer = visitor(app).get("/api/pictures/portrait/mesh.glb")
    assert answer.content.startswith(b"glTF")
    assert files_of(app) == before


def test_a_face_that_is_not_there_is_said(app):
    answer = visitor(app).get("/api/pictures/portrait/mesh?face=3")
    assert (answer.status_code, answer.json()["error"]["argument"]) == (422, "face")
