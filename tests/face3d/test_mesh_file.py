from __future__ import annotations

import numpy as np
import pytest
import trimesh

from fnevr.errors import MediaError
from fnevr.face3d import HeadModel
from fnevr.face3d.mesh_file import write_mesh


@pytest.mark.parametrize("extension", ["obj", "ply", "glb"])
def test_comes_back_in_the_same_order(tmp_path, extension):
    model = HeadModel.packaged()
    vertices, faces = model.template, model.faces
    write_mesh(tmp_path / f"mesh.{extension}", vertices, faces)
    mesh = trimesh.load_mesh(tmp_path / f"mesh.{extension}", process=False)
    np.testing.assert_allclose(mesh.vertices, vertices, atol=1e-6)
    np.testing.assert_array_equal(mesh.faces, faces)


@pytest.mark.parametrize("name", ["mesh.stl", "mesh"])
def test_other_formats_say_so(tmp_path, name):
    with pytest.raises(MediaError, match=r"a mesh ends in \.obj, \.ply, \.glb"):
        write_mesh(tmp_path / name, np.zeros((3, 3)), np.array([[0, 1, 2]]))
    assert list(tmp_path.iterdir()) == []
