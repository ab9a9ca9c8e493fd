"""Meshes to files that other programs open.

Shapes: V vertices, F triangles.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from fnevr.errors import MediaError
from fnevr.media.files import PathLike, atomic_path, check_target

EXTENSIONS = (".obj", ".ply", ".glb")


def check_mesh_target(path: PathLike) -> None:
    """Say before any work whether a mesh can be written at a path.

    Raises:
        MediaError: if the extension is not known or the folder cannot be written.
    """
    if Path(path).suffix.lower() not in EXTENSIONS:
        raise MediaError(f"cannot write '{path}': a mesh ends in {', '.join(EXTENSIONS)}")
    check_target(path)


def write_mesh(
    path: PathLike, vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]
) -> None:
    """Write a mesh; it appears under its name only when it is complete.

    Args:
        path: ends in .obj, .ply or .glb, which chooses the format.
        vertices: in metres, y up, z towards the viewer, as glTF has it.
        faces: triangles, counter-clockwise seen from outside.

    Raises:
        MediaError: if the extension is not known or the folder cannot be written.
    """
    check_mesh_target(path)
    with atomic_path(path) as temporary:
        save_mesh(temporary, vertices, faces)


def save_mesh(
    path: Path, vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]
) -> None:
    """Write a mesh into a file, as its ending says; the arguments are those of `write_mesh`.

    Raises:
        OSError: if it cannot be written.
    """
    import trimesh  # noqa: PLC0415 - it takes long to import

    mesh = trimesh.Trimesh(vertices, faces, process=False)  # keeps the vertices' order
    content: Any = mesh.export(file_type=path.suffix.lower().removeprefix("."))
    path.write_bytes(content.encode() if isinstance(content, str) else content)
