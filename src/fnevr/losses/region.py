"""L1 distance with more weight on the eyes and the mouth.

They are a few percent of the picture, but what people look at. Each is one soft ellipse: the
Gaussian with the mean and the spread of its landmarks.

Shapes: B batch, N landmarks, R regions, C channels, H and W pixels. Landmarks are in [-1, 1] from
edge to edge, x first.
"""

from __future__ import annotations

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from fnevr.geometry.flow import centre_grid
from fnevr.geometry.inverse import invert_2x2

# Contours in MediaPipe's mesh: the lids of the eye on the picture's left and right, the outer lips.
REGIONS = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
    (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185),
)
FOREHEAD, CHIN = 10, 152
SPREAD = 1.5
FLOOR = 0.03


def region_weights(
    landmarks: Float[Tensor, "B 478 2"], size: int, gain: float
) -> Float[Tensor, "B 1 H W"]:
    """Return ``w(z) = (1 + gain max_r exp(-1/2 (z - m_r)^T S_r^-1 (z - m_r))) / mean``.

    m_r is the mean of the region's landmarks and ``S_r = 1.5^2 cov + (0.03 face heights)^2``, with
    their covariance cov: the Gaussian is at least 0.64 at a lid, and that of a shut eye or mouth
    keeps some height. "/ mean" divides by the mean over the picture. So the mean of each picture's
    weights is 1, and a gain shifts attention and leaves the size of the loss alone. A picture
    without a face (NaN landmarks) gets weight 1 everywhere.

    Args:
        landmarks: MediaPipe's 478 points.
        size: height and width of the picture, in pixels.
        gain: the middle of an eye weighs 1 + gain times the background; 0 or more.

    Raises:
        ValueError: if the gain is negative or there is no pixel.
    """
    if gain < 0 or size < 1:
        raise ValueError(f"gain must be 0 or more and size 1 or more, got {gain} and {size}")
    has_face = landmarks.isfinite().all(dim=(1, 2))
    points = landmarks.where(has_face[:, None, None], landmarks.new_zeros(()))
    face_height = (points[:, CHIN] - points[:, FOREHEAD]).norm(dim=-1)
    floor = (FLOOR * face_height).square() + torch.finfo(points.dtype).eps
    ellipses = [_ellipse(points[:, list(region)], floor) for region in REGIONS]
    means = torch.stack([mean for mean, _ in ellipses], dim=1)
    inverse = torch.stack([inverse for _, inverse in ellipses], dim=1)
    offsets = centre_grid(size, size, like=points) - means[:, :, None, None]
    squares = einsum(offsets, inverse, offsets, "b r h w i, b r i j, b r h w j -> b r h w")
    peak = torch.exp(-0.5 * squares).amax(dim=1, keepdim=True)
    weights = 1 + gain * peak * has_face[:, None, None, None]
    return weights / weights.mean(dim=(2, 3), keepdim=True)


def weighted_l1(
    image_01: Float[Tensor, "B C H W"],
    target_01: Float[Tensor, "B C H W"],
    weights: Float[Tensor, "B 1 H W"],
) -> Float[Tensor, ""]:
    """Return ``mean w |x - y|`` over pixels and channels.

    Args:
        image_01: x, generated.
        target_01: y, real.
        weights: w, 0 or more; a window of a picture takes the same window of its weights.

    Raises:
        ValueError: if the sizes differ.
    """
    shape = (image_01.shape[0], 1, *image_01.shape[2:])
    if image_01.shape != target_01.shape or weights.shape != shape:
        raise ValueError(
            f"pictures of one shape and weights of shape {tuple(shape)} are wanted, got "
            f"{tuple(image_01.shape)}, {tuple(target_01.shape)} and {tuple(weights.shape)}"
        )
    return (weights * (image_01 - target_01).abs()).mean()


def _ellipse(
    points: Float[Tensor, "B N 2"], floor: Float[Tensor, " B"]
) -> tuple[Float[Tensor, "B 2"], Float[Tensor, "B 2 2"]]:
    """Return the mean of the points and the inverse of their widened covariance."""
    mean = points.mean(dim=1)
    offsets = points - mean[:, None]
    covariance = einsum(offsets, offsets, "b n i, b n j -> b i j") / points.shape[1]
    covariance = SPREAD**2 * covariance + floor[:, None, None] * torch.eye(2).to(points)
    return mean, invert_2x2(covariance)
