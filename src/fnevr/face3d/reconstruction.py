"""Heads from pictures: landmarks found, the head model fitted, files written.

Shapes: H and W pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int, UInt8
from pydantic import BaseModel, ConfigDict

from fnevr.config.stages import PathText
from fnevr.errors import FnevrError
from fnevr.extras import need_torch
from fnevr.face3d.fitting import NUM_MESH, Fit, fit_landmarks
from fnevr.face3d.head_model import JOINT_NAMES, HeadModel
from fnevr.face3d.mesh_file import check_mesh_target, save_mesh
from fnevr.face3d.raster import (
    Raster,
    depth_picture,
    depth_range,
    normal_map,
    normal_picture,
    overlay_picture,
    rasterize_window,
    windows,
)
from fnevr.faces.find import find_face
from fnevr.geometry.rotations import head_angles_deg, rotation_matrices
from fnevr.media.files import PathLike, atomic_path, check_apart
from fnevr.media.image import Picture, check_image_target, read_image, save_image

if TYPE_CHECKING:
    from fnevr.face3d.deca import DecaEncoder


class HeadReport(BaseModel):
    """What was found of a head in a picture."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    image: PathText
    """The picture."""

    output: PathText
    """The mesh that was written."""

    shape: list[float]
    """beta, in standard deviations."""

    expression: list[float]
    """psi, in standard deviations."""

    pose: dict[str, list[float]]
    """theta: axis times angle of each joint, in radians."""

    yaw_deg: float
    """Positive: turned to the viewer's right."""

    pitch_deg: float
    """Positive: up."""

    roll_deg: float
    """Positive: clockwise as seen."""

    pixels_per_metre: float
    """Scale of the weak-perspective camera."""

    shift_px: list[float]
    """Where the origin of the head's frame is in the picture."""

    error_px: float | None
    """Mean distance between landmarks and vertices in the picture; None with an encoder."""


def reconstruct(
    rgb: UInt8[np.ndarray, "H W 3"],
    *,
    face: int | None = None,
    model: HeadModel | None = None,
    encoder: DecaEncoder | None = None,
) -> Fit:
    """Fit the head model to one face of a picture, or estimate the head by an encoder.

    Args:
        rgb: the picture.
        face: which one, the largest being 0; None means the largest.
        model: to share one that is loaded already; with an encoder, FLAME.
        encoder: DECA's; None fits to landmarks.

    Raises:
        FaceError: if there is no such face, or it is too small.
    """
    model, landmarks = model or HeadModel.packaged(), find_face(rgb, face)
    if encoder is not None:
        return encoder.fit(rgb, landmarks, model)
    return fit_landmarks(model, landmarks[None].astype(np.float32))


def reconstruct_file(
    image: PathLike,
    output: PathLike,
    *,
    overlay: PathLike | None = None,
    depth: PathLike | None = None,
    normals: PathLike | None = None,
    face: int | None = None,
    deca: PathLike | None = None,
    flame: PathLike | None = None,
) -> HeadReport:
    """Read a picture, write the head's mesh, and pictures of it where a path is given.

    Args:
        image: the picture.
        output: .obj, .ply or .glb; the head as it is turned in the picture, metres, y up.
        overlay: the mesh laid over the picture.
        depth: gray, white at the nearest point.
        normals: in the usual colours.
        face: which one, the largest being 0; None means the largest.
        deca: DECA's checkpoint, to estimate the head by its encoder instead of fitting it.
        flame: FLAME's model file; DECA needs it.

    Raises:
        CheckpointError: if one of the last two is not what it should be.
        MediaError: if a file cannot be read or written, or two of the files are the same.
        FaceError: if there is no such face.
        FnevrError: if only one of DECA and FLAME is given.
    """
    check_mesh_target(output)
    pictures = [path for path in (overlay, depth, normals) if path is not None]
    for path in pictures:
        check_image_target(path)
    outputs = {"output": output, "overlay": overlay, "depth": depth, "normals": normals}
    check_apart({"image": image, "deca": deca, "flame": flame}, outputs)

    if (deca is None) != (flame is None):
        raise FnevrError("`deca=FILE` and `flame=FILE` belong together: give both or neither")
    model = HeadModel.packaged() if flame is None else HeadModel.from_file(Path(flame))
    encoder = None if deca is None else _encoder(Path(deca))
    rgb = read_image(image)
    fit = reconstruct(rgb, face=face, model=model, encoder=encoder)
    with ExitStack() as stack:  # all files appear, or none
        save_mesh(stack.enter_context(atomic_path(output)), fit.vertices[0], model.faces)
        if pictures:
            mesh = _Mesh(fit.vertices_px[0].astype(np.float64), model.faces)
            for picture, draw in (
                (overlay, mesh.overlay),
                (depth, mesh.depth),
                (normals, mesh.normals),
            ):
                if picture is not None:
                    save_image(stack.enter_context(atomic_path(picture)), draw(rgb))
    return _report(str(image), str(output), fit)


@dataclass(frozen=True)
class _Mesh:
    """A mesh in a picture, drawn strip by strip.

    Attributes:
        vertices_px: in pixels of the picture.
        faces: triangles.
    """

    vertices_px: Float[np.ndarray, "V 3"]
    faces: Int[np.ndarray, "F 3"]

    def overlay(self, rgb: Picture) -> Picture:
        return self._drawn(rgb, rgb.copy(), overlay_picture)

    def depth(self, rgb: Picture) -> Picture:
        ranges = [
            depth_range(rasterize_window(self.vertices_px, self.faces, window))
            for window in windows(self.vertices_px, *rgb.shape[:2])
        ]
        nearest = min((low for low, _ in ranges), default=0.0)
        farthest = max((high for _, high in ranges), default=0.0)
        return self._drawn(
            rgb,
            np.zeros_like(rgb),
            lambda _rgb, raster, _normals: depth_picture(raster, nearest, farthest),
        )

    def normals(self, rgb: Picture) -> Picture:
        return self._drawn(
            rgb, np.zeros_like(rgb), lambda _rgb, _raster, normals: normal_picture(normals)
        )

    def _drawn(
        self,
        rgb: Picture,
        result: Picture,
        draw: Callable[[Picture, Raster, Float[np.ndarray, "h w 3"]], Picture],
    ) -> Picture:
        for window in windows(self.vertices_px, *rgb.shape[:2]):
            raster = rasterize_window(self.vertices_px, self.faces, window)
            directions = normal_map(raster, self.vertices_px, self.faces)
            result[window] = draw(rgb[window], raster, directions)
        return result


def _encoder(path: Path) -> DecaEncoder:
    """Load DECA's encoder.

    Raises:
        FnevrError: if there is no PyTorch.
        CheckpointError: if the file is not DECA's.
    """
    need_torch("DECA's encoder")
    from fnevr.face3d.deca import DecaEncoder  # noqa: PLC0415 (optional, slow)

    return DecaEncoder.from_file(path)


def _report(image: str, output: str, fit: Fit) -> HeadReport:
    parameters, camera, errors = fit.parameters, fit.camera, fit.errors_px
    pose = parameters.pose[0]
    yaw, pitch, roll = head_angles_deg(rotation_matrices(pose[0])).tolist()
    return HeadReport(
        image=image,
        output=output,
        shape=parameters.shape[0].tolist(),
        expression=parameters.expression[0].tolist(),
        pose=dict(zip(JOINT_NAMES, pose.tolist(), strict=True)),
        yaw_deg=yaw,
        pitch_deg=pitch,
        roll_deg=roll,
        pixels_per_metre=camera.scale.item(),
        shift_px=camera.shift[0].tolist(),
        error_px=errors[0, :NUM_MESH].mean().item() if errors.size else None,
    )
