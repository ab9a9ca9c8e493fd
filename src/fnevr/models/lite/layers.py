"""The composite at the portrait's own resolution: a person in front of what stands still.

Shapes: B driving frames, K keypoints, h and w cells of the motion, H1 and W1 pixels of what is
drawn.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from fnevr.geometry.flow import centre_grid, sample
from fnevr.geometry.inverse import invert_2x2
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.resampling import enlarge
from fnevr.models.encoded_source import WHOLE, Detail
from fnevr.models.lite.inner_face import from_view
from fnevr.models.lite.motion import head_of

COARSE, NEAR = 128, 13  # cells of the source's outline, and by how many it is widened
SURE = 20  # a cell that is the person's to 1/20 counts as a whole one
EYE, EYE_RADII = (0.17, -0.19), (0.16, 0.12)  # in face heights from the middle of the face mesh
MOUTH, MOUTH_RADII = (0.0, 0.25), (0.24, 0.20)
SOFTNESS = 0.25  # of the ovals' edges, of their radius


def drawn_parts(
    driving: Keypoints, num_face_keypoints: int, height: int, width: int
) -> Float[Tensor, "B 1 h w"]:
    """Return 1 around the driver's eyes and mouth, 0 elsewhere: ovals in the frame of the head.

    Args:
        driving: the last of the face's keypoints is the whole head, in face heights.
        num_face_keypoints: how many keypoints the face has, the first ones.
        height: h.
        width: w.
    """
    centre, jacobian = head_of(driving, num_face_keypoints)
    grid = centre_grid(height, width, like=centre)
    head = torch.einsum("bij,bhwj->bhwi", invert_2x2(jacobian), grid - centre[:, None, None])
    return eyes_and_mouth(head)[:, None]


def eyes_and_mouth(head: Float[Tensor, "*B h w 2"]) -> Float[Tensor, "*B h w"]:
    """Return 1 around eyes and mouth, 0 elsewhere; places are in face heights, see above."""
    eyes = torch.stack((head[..., 0].abs(), head[..., 1]), dim=-1)
    return torch.maximum(_oval(eyes, EYE, EYE_RADII), _oval(head, MOUTH, MOUTH_RADII))


def _oval(
    points: Float[Tensor, "*B h w 2"], centre: tuple[float, float], radii: tuple[float, float]
) -> Float[Tensor, "*B h w"]:
    x, y = ((points[..., axis] - centre[axis]) / radii[axis] for axis in (0, 1))
    return ((1 - (x.square() + y.square()).sqrt()) / SOFTNESS + 0.5).clamp(0, 1)


def blend_person(
    detail: Detail,
    decoded: Float[Tensor, "B 3 H W"],
    mask: Float[Tensor, "B 1 H W"],
    flow: Float[Tensor, "B 2 h w"],
    person_flow: Float[Tensor, "B 2 h w"],
    person: Float[Tensor, "B 1 h w"],
    parts: Float[Tensor, "B 1 h w"],
    inner_face: tuple[Float[Tensor, "B 4 H2 W2"], Float[Tensor, "B 2 3"]] | None = None,
) -> Float[Tensor, "B 3 H1 W1"]:
    """Composite at the resolution of the source's detail.

    With F the foreground, A its alpha and P the plate: m warp(F) + (1 - m) warp(A) decoded +
    (1 - warp(A)) P. A foreground without a background (A = 1 everywhere) moves by the flow, and m
    is the mask. A person moves by the flow of its own motions; m is the mask around eyes and mouth
    and 1 elsewhere. Far from the source's outline the person shows only where its motions have a
    share, because they are extrapolated there.

    Args:
        detail: not smaller than the decoded picture.
        decoded: the decoder's picture, in [0, 1].
        mask: where the warped source is taken instead.
        flow: of all motions.
        person_flow: of all motions but the background's.
        person: share of these motions.
        parts: see `drawn_parts`.
        inner_face: the decoded picture and the mask of these parts in a view of their own, and
            where a place of the picture is there (`inner_face.to_view`); None for models without.
    """
    foreground, plate = detail.foreground, detail.plate_01
    height, width = plate.shape[-2:]
    zoom = width / foreground.shape[-1]
    outline = coarse_outline(foreground[:, 3:], zoom)
    stands_apart = (outline.amin(dim=(1, 2, 3), keepdim=True) < WHOLE).to(flow.dtype)
    flow = flow + stands_apart * (person_flow - flow)
    kept = enlarge(stands_apart * (1 - parts), mask.shape[-2], mask.shape[-1], "bilinear")
    mask = enlarge(torch.maximum(mask, kept), height, width, "bilinear")
    moved = enlarge((2 * person).clamp(max=1), COARSE, COARSE, "bilinear")
    shown = enlarge(torch.maximum(moved, widened(outline)), height, width, "bilinear")
    foreground = foreground.expand(flow.shape[0], -1, -1, -1)
    warped = sample(foreground, zoom * looks_at(flow, height, width), "bicubic")
    colours, alpha = warped[:, :3], warped[:, 3:].clamp(0, 1)
    decoded = enlarge(decoded, height, width, "bicubic")
    if inner_face is not None:
        anew = from_view(*inner_face, centre_grid(height, width, like=decoded))
        parts = enlarge(parts, height, width, "bilinear")
        decoded, mask = (
            decoded + parts * (anew[:, :3] - decoded),
            mask + parts * (anew[:, 3:] - mask),
        )
    person_over_plate = mask * (colours - alpha * decoded) + alpha * (decoded - plate)
    return (plate + shown * person_over_plate).clamp(0, 1)


def coarse_outline(alpha: Float[Tensor, "S 1 H2 W2"], zoom: float) -> Float[Tensor, "S 1 h w"]:
    """Return alpha of what is drawn at `COARSE` cells.

    Args:
        alpha: of the foreground.
        zoom: size of what is drawn, of that of the foreground.
    """
    grid = zoom * centre_grid(COARSE, COARSE, like=alpha)
    return sample(alpha, grid.expand(alpha.shape[0], -1, -1, -1))


def widened(outline: Float[Tensor, "S 1 h w"]) -> Float[Tensor, "S 1 h w"]:
    """Return 1 on the person and up to `NEAR` / 2 cells around it."""
    wide = F.max_pool2d(outline, (NEAR, 1), stride=1, padding=(NEAR // 2, 0))
    wide = F.max_pool2d(wide, (1, NEAR), stride=1, padding=(0, NEAR // 2))
    return (SURE * wide).clamp(max=1)


def looks_at(flow: Float[Tensor, "B 2 h w"], height: int, width: int) -> Float[Tensor, "B H W 2"]:
    """Return where each pixel of an enlarged flow looks in the source."""
    grid = enlarge(flow, height, width, "bilinear").permute(0, 2, 3, 1)
    return grid + centre_grid(height, width, like=grid)


def blend(
    warped: Float[Tensor, "B C H W"],
    decoded: Float[Tensor, "B C H W"],
    mask: Float[Tensor, "B 1 H W"],
) -> Float[Tensor, "B C H W"]:
    """Return m warped + (1 - m) decoded."""
    return decoded + mask * (warped - decoded)


def sharpened(
    mask: Float[Tensor, "B 1 H W"],
    gain: float,
    shift: float,
    correction: Float[Tensor, "B 1 H W"] | None = None,
) -> Float[Tensor, "B 1 H W"]:
    """Return sigmoid(gain x logit(mask) + shift + correction), written without logarithms."""
    if (gain, shift) == (1, 0) and correction is None:
        return mask
    inside, outside = math.exp(shift) * mask**gain, (1 - mask) ** gain
    if correction is not None:
        inside = inside * correction.exp()
    return inside / (inside + outside)
