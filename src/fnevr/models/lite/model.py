"""FNeVR at the size of a laptop CPU, and a composite with the warped source.

Shapes: B batch, S sources (one, or one per frame), H and W pixels, h = H / 4 and w = W / 4 cells,
K1 motions (background first); H1 and W1 pixels of what is drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from fnevr.config.models import LiteConfig
from fnevr.geometry.flow import centre_grid, flow_to_grid, sample
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.resampling import enlarge
from fnevr.models.encoded_source import Detail, EncodedSource
from fnevr.models.lite.decoder import LiteDecoder, LiteEncoder
from fnevr.models.lite.detector import LiteDetector
from fnevr.models.lite.motion import LiteDenseMotion, LiteMotion
from fnevr.models.lite.renderer import LiteRenderer
from fnevr.models.portrait import Generated, PortraitModel
from fnevr.models.volume import Rendering

CELL = 4
CLOSING_SIDE, GAP = 128, 13  # cells of the closing, and how wide a gap may be, in these


@dataclass(frozen=True)
class Window:
    """A square part of the picture, in cells of 4 x 4 pixels; training decodes windows."""

    top: int
    left: int
    size: int

    def of_cells(self, x: Float[Tensor, "B C h w"]) -> Tensor:
        """Cut the window out of a feature map."""
        return x[:, :, self.top : self.top + self.size, self.left : self.left + self.size]

    def of_image(self, x: Float[Tensor, "B C H W"]) -> Tensor:
        """Cut the window out of a picture."""
        return Window(CELL * self.top, CELL * self.left, CELL * self.size).of_cells(x)

    def of_points(self, points: Float[Tensor, "B N 2"], cells: int) -> Float[Tensor, "B N 2"]:
        """Take points from [-1, 1] of the picture, `cells` wide, to [-1, 1] of the window."""
        centre = points.new_tensor([self.left, self.top]) + self.size / 2
        return (points + 1 - 2 * centre / cells) * (cells / self.size)


@dataclass(frozen=True)
class LiteGenerated(Generated):
    """Generated frames or windows of them, with the two sides of the composite.

    Attributes:
        masks: of the whole view, whatever the window.
        flow: where each pixel looks in the source, at full resolution.
        rendered: the renderer's auxiliary picture, in (0, 1).
        decoded: the decoder's picture, in (0, 1).
        composite_mask: where the warped source is taken instead, in (0, 1); None for models
            without a composite.
    """

    masks: Float[Tensor, "B K1 h1 w1"]
    flow: Float[Tensor, "B H W 2"]
    rendered: Float[Tensor, "B 3 H W"] | None = None
    decoded: Float[Tensor, "B 3 H W"] = field(kw_only=True)
    composite_mask: Float[Tensor, "B 1 H W"] | None = None


class FNeVRLite(PortraitModel):
    """The root: every stage of the paper at small widths, and a composite with the warped source.

    image = m warp(source) + (1 - m) decoded: the source keeps its own texture where that suffices.
    Mask m, flow and decoded picture are smooth, so they are made at the networks' size and can be
    applied to the source at its own (`blend_layers`).
    """

    architecture: ClassVar[str] = "fnevr-lite"
    config: LiteConfig
    detector: LiteDetector
    motion: LiteDenseMotion

    def __init__(self, config: LiteConfig) -> None:
        super().__init__(config)
        count, width = config.num_keypoints, config.width
        self.detector = LiteDetector(
            count, config.num_free_keypoints, config.detector_widths, config.sharpness
        )
        self.encoder = LiteEncoder(width)
        self.motion = LiteDenseMotion(
            count,
            config.motion_widths,
            config.gaussian_variance,
            config.noise_floor,
            config.context_width,
            config.num_face_keypoints,
            config.code_width,
        )
        self.renderer = (
            LiteRenderer(width, config.num_planes, config.plane_width, config.hidden_width)
            if config.volume_rendering
            else None
        )
        in_width = width * (2 if config.volume_rendering else 1) + self.motion.context_width
        self.decoder = LiteDecoder(in_width, width, composite=config.composite)

    def render(self, source: EncodedSource, driving: Keypoints, *, details: bool) -> LiteGenerated:
        """Draw the source as the driving keypoints have it; see `PortraitModel.render`."""
        source = self.one_each(source, driving)
        motion = self.motion(source.image_01, source.keypoints, driving)
        return self.compose(source.image_01, source.features, motion, details=details)

    def compose(
        self,
        source_01: Float[Tensor, "B 3 H W"],
        features: Float[Tensor, "B C h w"],
        motion: LiteMotion,
        window: Window | None = None,
        *,
        details: bool,
    ) -> LiteGenerated:
        """Warp, render and decode the whole picture, or a window of it.

        Args:
            source_01: one for each driving frame.
            features: `encode(source_01)`.
            motion: from the source to each driving frame.
            window: what to draw; None for everything.
            details: whether to draw the auxiliary image, and to warp the source even for models
                without a composite, which do not need it.
        """
        decoded, mask, rendering, occlusion = self._decode(features, motion, window, details)
        pixel_grid = flow_to_grid(motion.flow, *source_01.shape[-2:])
        if window is not None:
            pixel_grid = window.of_image(pixel_grid.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        image, warped = decoded, None
        if self.config.composite:
            warped = sample(source_01, pixel_grid, "bicubic")
            image = blend(warped, decoded, mask).clamp(0, 1)  # bicubic sampling overshoots at edges
        elif details:
            warped = sample(source_01, pixel_grid)
        return LiteGenerated(
            image=image,
            occlusion=occlusion,
            masks=motion.masks,
            flow=pixel_grid,
            warped=warped,
            rendered=None if rendering is None else rendering.image,
            density_features=None if rendering is None else rendering.density_features,
            decoded=decoded,
            composite_mask=mask if self.config.composite else None,
        )

    def draw_layers(self, source: EncodedSource, driving: Keypoints) -> tuple[Tensor, ...]:
        """Draw the decoded picture, the composite's mask and the flow; see `PortraitModel`."""
        source = self.one_each(source, driving)
        motion = self.motion(source.image_01, source.keypoints, driving)
        decoded, mask, _, _ = self._decode(source.features, motion, None, details=False)
        return (decoded, mask, motion.flow) if self.config.composite else (decoded,)

    def blend_layers(self, detail: Detail, *layers: Tensor) -> Float[Tensor, "B 3 H1 W1"]:
        """Composite at the resolution of the source's detail; see `PortraitModel`.

        With F the foreground, A its alpha and P the plate:
        m warp(F) + (1 - m) G decoded + (1 - m warp(A) - (1 - m) G) P. G is warp(A), and 1 - m where
        the person's outline has a gap. With A = 1 that is the composite. The mask m is sharpened by
        `config.detail_gain` and `detail_shift`: the decoded picture has no detail of this
        resolution, and half of it would blur the whole.

        Args:
            detail: not smaller than the layers.
            layers: as `draw_layers` returns them.
        """
        if not self.config.composite:
            return layers[0]
        decoded, mask, flow = layers
        mask = sharpened(mask, self.config.detail_gain, self.config.detail_shift)
        foreground, plate = detail.foreground, detail.plate_01
        height, width = plate.shape[-2:]
        zoom = width / foreground.shape[-1]
        foreground = foreground.expand(flow.shape[0], -1, -1, -1)
        warped = sample(foreground, zoom * looks_at(flow, height, width), "bicubic")
        colours, alpha = warped[:, :3], warped[:, 3:].clamp(0, 1)
        mask = enlarge(mask, height, width, "bilinear")
        coarse = sample(foreground[:, 3:], zoom * looks_at(flow, CLOSING_SIDE, CLOSING_SIDE))
        closed = enlarge(close_gaps(coarse), height, width, "bilinear")
        # In gaps of the outline that the warp tore, the decoded picture shows.
        drawn = torch.maximum(alpha, closed * (1 - mask))
        decoded = drawn * enlarge(decoded, height, width, "bicubic")
        person = blend(colours, decoded, mask)
        return (person + (1 - blend(alpha, drawn, mask)) * plate).clamp(0, 1)

    def _decode(
        self,
        features: Float[Tensor, "B C h w"],
        motion: LiteMotion,
        window: Window | None,
        details: bool,
    ) -> tuple[Tensor, Tensor, Rendering | None, Tensor]:
        """Return the decoded picture, the mask, the rendering and the occlusion of the window."""
        cell_grid = flow_to_grid(motion.flow, *features.shape[-2:])
        occlusion, context = motion.occlusion, motion.context
        if window is not None:
            cell_grid = window.of_cells(cell_grid.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            occlusion, context = window.of_cells(occlusion), window.of_cells(context)
        warped_features = sample(features, cell_grid) * occlusion
        decoder_input, rendering = [warped_features, context], None
        if self.renderer is not None:
            rendering = self.renderer(warped_features, auxiliary=details)
            decoder_input.insert(1, rendering.features)
        decoded, mask = self.decoder(torch.cat(decoder_input, dim=1))
        return decoded, mask, rendering, occlusion


def looks_at(flow: Float[Tensor, "B 2 h w"], height: int, width: int) -> Float[Tensor, "B H W 2"]:
    """Return where each pixel of an enlarged flow looks in the source."""
    grid = enlarge(flow, height, width, "bilinear").permute(0, 2, 3, 1)
    return grid + centre_grid(height, width, like=grid)


def close_gaps(alpha: Float[Tensor, "B 1 h w"]) -> Float[Tensor, "B 1 h w"]:
    """Fill what is narrower than `GAP` cells and has the person on both sides: a closing."""
    for sign in (1, -1):
        for kernel in ((GAP, 1), (1, GAP)):
            padding = (kernel[0] // 2, kernel[1] // 2)
            alpha = sign * F.max_pool2d(sign * alpha, kernel, stride=1, padding=padding)
    return alpha


def blend(
    warped: Float[Tensor, "B C H W"],
    decoded: Float[Tensor, "B C H W"],
    mask: Float[Tensor, "B 1 H W"],
) -> Float[Tensor, "B C H W"]:
    """Return m warped + (1 - m) decoded."""
    return decoded + mask * (warped - decoded)


def sharpened(
    mask: Float[Tensor, "B 1 H W"], gain: float, shift: float
) -> Float[Tensor, "B 1 H W"]:
    """Return sigmoid(gain x logit(mask) + shift), written without logarithms."""
    if (gain, shift) == (1, 0):
        return mask
    inside, outside = math.exp(shift) * mask**gain, (1 - mask) ** gain
    return inside / (inside + outside)
