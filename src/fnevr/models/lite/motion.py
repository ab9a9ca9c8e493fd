"""Dense motion of `lite`: a Gaussian blend of the keypoints' motions, corrected by a network.

The flow is sum_k m_k (T_k(z) - z), with T_0 the identity. Its masks are
m = softmax(b_k - |z - p_Dk|^2 / (2 s_k^2) + c_k(z)): the first two terms, with learned widths s and
biases b, are the blend that already works untrained; the network's correction c starts at zero.

Shapes: B batch, K keypoints and K1 = K + 1 motions (background first), H and W pixels of the
picture, h = H / 4 and w = W / 4 of the flow.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fnevr.geometry.flow import affine_displacements, centre_grid, sample
from fnevr.geometry.inverse import invert_2x2
from fnevr.geometry.keypoints import Keypoints
from fnevr.models.lite.blocks import StridedHourglass

CORRECTION_GAIN = 4.0
MAP_WIDTH = 0.04  # of the Gaussians that show the decoder where the face's keypoints are
CODE_HIDDEN_WIDTH = 64
MAX_LOCAL = 4.0
TINY = 1e-30  # where no motion but the background's has a weight, the person does not move


@dataclass(frozen=True)
class LiteMotion:
    """How to get from the source to the driving view, at a quarter of the picture's size.

    Attributes:
        flow: displacement of each cell, in [-1, 1] units: it looks in the source at z + flow.
        masks: weight of each motion, which sum to 1; motion 0 is the background.
        person: weight of all motions but the background's.
        person_flow: the displacement by these motions alone, of a person before a background that
            keeps still.
        occlusion: 1 where the source shows what is needed, 0 where it has to be made up.
        context: what the decoder is told of the network's view and of the face's expression.
    """

    flow: Float[Tensor, "B 2 h w"]
    masks: Float[Tensor, "B K1 h w"]
    person: Float[Tensor, "B 1 h w"]
    person_flow: Float[Tensor, "B 2 h w"]
    occlusion: Float[Tensor, "B 1 h w"]
    context: Float[Tensor, "B C h w"]


class LiteDenseMotion(nn.Module):
    """Blends the keypoints' motions into one flow, and says what the warp cannot show."""

    def __init__(
        self,
        num_keypoints: int,
        widths: tuple[int, ...],
        variance: float,
        noise_floor: float,
        context_width: int,
        num_face_keypoints: int,
        code_width: int,
    ) -> None:
        super().__init__()
        self.variance = variance
        self.noise_floor = noise_floor
        self.hourglass = StridedHourglass(4 * (num_keypoints + 1), widths, len(widths) - 1)
        self.masks = nn.Conv2d(widths[0], num_keypoints + 1, kernel_size=3, padding=1)
        self.occlusion = nn.Conv2d(widths[0], 1, kernel_size=3, padding=1)
        self.context = nn.Conv2d(widths[0], context_width, kernel_size=1)
        self.width, self.context_width = widths[0], context_width
        self.num_face_keypoints = num_face_keypoints
        self.code = expression_code(num_face_keypoints, code_width) if code_width else None
        if self.code is not None:  # the code, coordinates, the face's keypoints less the head's own
            self.context_width += code_width + 2 + num_face_keypoints - 1
        nn.init.zeros_(self.masks.weight)
        nn.init.zeros_(self.occlusion.weight)
        self.masks.bias = nn.Parameter(torch.zeros(num_keypoints + 1))
        self.occlusion.bias = nn.Parameter(torch.full((1,), 2.0))
        self.log_widths = nn.Parameter(torch.full((num_keypoints,), 0.09).log())
        self.biases = nn.Parameter(torch.zeros(num_keypoints + 1))

    def forward(
        self,
        source_01: Float[Tensor, "B 3 H W"],
        source: Keypoints,
        driving: Keypoints,
        channel_gain: Float[Tensor, "B C 1 1"] | None = None,
    ) -> LiteMotion:
        """Return the motion that takes the source to the driving pose.

        Args:
            source_01: the source.
            source: its keypoints.
            driving: the driver's.
            channel_gain: factors of the network's `width` channels, in training; None for 1.
        """
        height, width = source_01.shape[-2] // 4, source_01.shape[-1] // 4
        grid = centre_grid(height, width, like=source_01)
        features = self.hourglass(self._describe(source_01, source, driving))
        if channel_gain is not None:
            features = features * channel_gain
        correction = CORRECTION_GAIN * _double(self.masks(features))
        masks = (self._prior_logits(driving, grid) + correction).softmax(dim=1)
        # The background's displacement is 0, so the flow is what the others add to it.
        flow = _blended(masks[:, 1:], source, driving, grid)
        person = masks[:, 1:].sum(dim=1, keepdim=True)
        person_flow = suppress_noise(flow / person.clamp(min=TINY), self.noise_floor)
        flow = suppress_noise(flow, self.noise_floor)
        occlusion = torch.sigmoid(_double(self.occlusion(features)))
        context = _double(F.relu(self.context(features)))
        if self.code is not None:
            context = torch.cat([context, *self._express(source, driving, grid)], dim=1)
        return LiteMotion(flow, masks, person, person_flow, occlusion, context)

    def _prior_logits(self, driving: Keypoints, grid: Tensor) -> Float[Tensor, "B K1 h w"]:
        """Return the logarithm of the Gaussian blend; the background's is its bias everywhere."""
        logits = _log_gaussians(driving.positions, (2 * self.log_widths).exp(), grid)
        return _with_background(logits) + self.biases[:, None, None]

    def _express(self, source: Keypoints, driving: Keypoints, grid: Tensor) -> list[Tensor]:
        """Tell the decoder what the face does and where: a code, coordinates, keypoints' Gaussians.

        An eighth of the size is too coarse for lips and lids. The code comes from the face's
        keypoints of both pictures as their heads see them; the coordinates are the driver's
        head's. No gradient reaches the keypoints, which have targets.
        """
        assert self.code is not None
        parts = [
            face_in_head(keypoints.detach(), self.num_face_keypoints)
            for keypoints in (driving, source)
        ]
        coordinates = grid_in_head(driving.detach(), self.num_face_keypoints, grid)
        code = self.code(torch.cat(parts, dim=1))
        face = driving.positions.detach()[:, : self.num_face_keypoints - 1]
        maps = _log_gaussians(face, MAP_WIDTH**2, grid).exp()
        return [code[:, :, None, None].expand(-1, -1, *grid.shape[:2]), coordinates.tanh(), maps]

    @torch.no_grad()
    def _describe(
        self, source_01: Tensor, source: Keypoints, driving: Keypoints
    ) -> Float[Tensor, "B C h w"]:
        """Show the network, at an eighth of the size, each keypoint's Gaussians and warped source.

        Gradients do not flow through this view: the keypoints learn from the flow itself, and half
        of the training time is saved.
        """
        small = F.avg_pool2d(source_01, kernel_size=8)
        height, width = small.shape[-2:]
        grid = centre_grid(height, width, like=small)
        displacements = _with_background(affine_displacements(source, driving, grid))
        batch, count = displacements.shape[:2]
        looks = (displacements.flatten(0, 1) + grid).clamp(-3, 3)
        copies = small[:, None].expand(batch, count, -1, -1, -1).flatten(0, 1)
        warped = sample(copies, looks).unflatten(0, (batch, count)) - 0.5
        gaussians = [
            _log_gaussians(keypoints.positions, self.variance, grid).exp()
            for keypoints in (driving, source)
        ]
        heat = _with_background(gaussians[0] - gaussians[1])
        return torch.cat([heat[:, :, None], warped], dim=2).flatten(1, 2)


def expression_code(num_face_keypoints: int, width: int) -> nn.Sequential:
    """Make the network that turns the face keypoints of source and driver into a code.

    The last face keypoint, the whole head, is no input: the others are given in its frame.
    """
    return nn.Sequential(
        nn.Linear(2 * 6 * (num_face_keypoints - 1), CODE_HIDDEN_WIDTH),
        nn.ReLU(),
        nn.Linear(CODE_HIDDEN_WIDTH, width),
    )


def head_of(
    keypoints: Keypoints, num_face: int
) -> tuple[Float[Tensor, "B 2"], Float[Tensor, "B 2 2"]]:
    """Return place and Jacobian of the head, in face heights: the last of the face's keypoints."""
    return keypoints.positions[:, num_face - 1], keypoints.jacobians[:, num_face - 1]


def face_in_head(keypoints: Keypoints, num_face: int) -> Float[Tensor, "B N"]:
    """Return the face's keypoints in the frame of the head: ``J_h^-1 (p_k - p_h)``, ``J_h^-1 J_k``.

    The head itself is left out.
    """
    centre, jacobian = head_of(keypoints, num_face)
    inverse = invert_2x2(jacobian)
    offsets = keypoints.positions[:, : num_face - 1] - centre[:, None]
    positions = torch.einsum("bij,bkj->bki", inverse, offsets)
    jacobians = torch.einsum("bij,bkjl->bkil", inverse, keypoints.jacobians[:, : num_face - 1])
    parts = torch.cat([positions.flatten(1), jacobians.flatten(1)], dim=1)
    return parts.clamp(-MAX_LOCAL, MAX_LOCAL)


def grid_in_head(
    keypoints: Keypoints, num_face: int, grid: Float[Tensor, "h w 2"]
) -> Float[Tensor, "B 2 h w"]:
    """Return places of a picture in the frame of the head: ``J_h^-1 (z - p_h)``."""
    centre, jacobian = head_of(keypoints, num_face)
    local = torch.einsum("bij,bhwj->bihw", invert_2x2(jacobian), grid - centre[:, None, None])
    return local.clamp(-MAX_LOCAL, MAX_LOCAL)


def suppress_noise(flow: Float[Tensor, "B 2 h w"], noise_floor: float) -> Float[Tensor, "B 2 h w"]:
    """Return d |d|^2 / (|d|^2 + t^2): Wiener's estimate of a displacement d in noise of size t.

    Keypoints of two pictures of a still head differ a little, which would stir its texture. Long
    displacements lose about t^2 / |d|.
    """
    if noise_floor == 0:
        return flow
    squared = flow.square().sum(dim=1, keepdim=True)
    return flow * (squared / (squared + noise_floor**2))


def _with_background(per_keypoint: Tensor) -> Tensor:
    """Put a zero entry before the keypoints': the background, which stays where it is."""
    return torch.cat([torch.zeros_like(per_keypoint[:, :1]), per_keypoint], dim=1)


def _log_gaussians(
    positions: Float[Tensor, "B K 2"],
    variances: Float[Tensor, " K"] | float,
    grid: Float[Tensor, "h w 2"],
) -> Float[Tensor, "B K h w"]:
    """Return ``-|z - p_k|^2 / (2 s_k^2)``, as a product of matrices: quickest in every engine."""
    z, scale = grid.flatten(0, 1), -0.5 / torch.as_tensor(variances, device=grid.device)
    of_places = torch.stack(
        (z.square().sum(dim=-1), -2 * z[:, 0], -2 * z[:, 1], torch.ones_like(z[:, 0]))
    )
    squared = positions.square().sum(dim=-1, keepdim=True)
    of_points = torch.cat((torch.ones_like(squared), positions, squared), dim=-1)
    return (scale[..., None] * of_points @ of_places).unflatten(-1, grid.shape[:2])


def _blended(
    masks: Float[Tensor, "B K h w"],
    source: Keypoints,
    driving: Keypoints,
    grid: Float[Tensor, "h w 2"],
) -> Float[Tensor, "B 2 h w"]:
    """Return ``sum_k m_k (T_k(z) - z)``: since T_k is affine, the matrices are blended first."""
    linear = source.jacobians @ invert_2x2(driving.jacobians)
    moved = source.positions[..., None] - linear @ driving.positions[..., None]
    change = torch.cat((linear - torch.eye(2, device=grid.device, dtype=grid.dtype), moved), dim=-1)
    blended = change.flatten(2).transpose(1, 2) @ masks.flatten(2)
    x, y = grid[..., 0], grid[..., 1]
    rows = blended.unflatten(2, grid.shape[:2]).unflatten(1, (2, 3))
    return rows[:, :, 0] * x + rows[:, :, 1] * y + rows[:, :, 2]


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
