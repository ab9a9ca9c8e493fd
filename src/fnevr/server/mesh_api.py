"""The head in a picture, in 3D: as JSON for the page, as a file for other programs."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from fnevr.face3d.head_model import HeadModel
from fnevr.face3d.mesh_file import write_mesh
from fnevr.face3d.reconstruction import reconstruct
from fnevr.media.image import read_image
from fnevr.server.api import visitor

router = APIRouter(prefix="/api/pictures")
Face = Annotated[int | None, Query(ge=0)]


@router.get("/{name}/mesh")
def mesh(request: Request, name: str, face: Face = None) -> dict[str, Any]:
    """Fit the head model to a face.

    Vertices are in metres, y up, z towards the viewer; `places` says where each is in the picture,
    in shares of its width and height from the top left; triangles are counter-clockwise.
    """
    rgb = read_image(visitor(request).find("picture", name).path)
    fit = reconstruct(rgb, face=face)
    height, width = rgb.shape[:2]
    return {
        "vertices": fit.vertices[0].round(5).tolist(),
        "places": (fit.vertices_px[0, :, :2] / [width, height]).round(5).tolist(),
        "triangles": HeadModel.packaged().faces.tolist(),
    }


@router.get("/{name}/mesh.glb")
def mesh_file(request: Request, name: str, face: Face = None) -> Response:
    """Give the same as a file of glTF."""
    rgb = read_image(visitor(request).find("picture", name).path)
    fit = reconstruct(rgb, face=face)
    with TemporaryDirectory(dir=request.app.state.rooms.sessions.root) as folder:
        path = Path(folder) / "head.glb"
        write_mesh(path, fit.vertices[0], HeadModel.packaged().faces)
        headers = {"Content-Disposition": 'attachment; filename="head.glb"'}
        return Response(path.read_bytes(), media_type="model/gltf-binary", headers=headers)
