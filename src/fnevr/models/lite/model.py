"""FNeVR at the size of a laptop CPU, and a composite with the warped source.

Shapes: B batch, S sources (one, or one per frame), H and W pixels, h = H / 4 and w = W / 4 cells,
K1 motions (background first); H1 and W1 pixels of what is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from fnevr.config.models import LiteConfig
from fnevr.geometry.flow import flow_to_grid, sample
from fnevr.geometry.keypoints import Keypoints
from fnevr.models.encoded_source import CELL, Detail, EncodedSource
from fnevr.models.lite.decoder import LiteDecoder, LiteEncoder
from fnevr.models.lite.detector import LiteDetector
from fnevr.models.lite.inner_face import (
    HEIGHT,
    WIDTH,
    InnerFace,
    InnerFaceView,
    to_view,
    view_grid,
)
from fnevr.models.lite.layers import blend, blend_person, drawn_parts, sharpened
from fnevr.models.lite.motion import LiteDenseMotion, LiteMotion, face_in_head
from fnevr.models.lite.renderer import LiteRenderer
from fnevr.models.portrait import Generated, KeypointModel
from fnevr.models.volume import Rendering


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


@dataclass(frozen=True)
class _Decoded:
    """What the decoder makes of a window, and what it was made of."""

    picture: Float[Tensor, "B 3 H W"]
    mask: Float[Tensor, "B M H W"]
    features: Float[Tensor, "B C h w"]
    rendering: Rendering | None
    occlusion: Float[Tensor, "B 1 h w"]


class FNeVRLite(KeypointModel):
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
        self.inner_face = (
            InnerFace(config.inner_face_width, width, config.num_face_keypoints)
            if config.inner_face_width
            else None
        )

    def render(self, source: EncodedSource, driving: Keypoints, *, details: bool) -> LiteGenerated:
        """Draw the source as the driving keypoints have it; see `KeypointModel.render`."""
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
        drawn = self._decode(features, motion, window, details)
        decoded, mask, rendering = drawn.picture, drawn.mask, drawn.rendering
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
            occlusion=drawn.occlusion,
            masks=motion.masks,
            flow=pixel_grid,
            warped=warped,
            rendered=None if rendering is None else rendering.image,
            density_features=None if rendering is None else rendering.density_features,
            decoded=decoded,
            composite_mask=mask if self.config.composite else None,
        )

    def draw_layers(
        self,
        source: EncodedSource,
        driving: Keypoints,
        channel_gain: Float[Tensor, "B C 1 1"] | None = None,
    ) -> tuple[Tensor, ...]:
        """Draw what `layers.blend_person` takes, in its order; see `KeypointModel`.

        Args:
            source: one for all driving frames, or one for each.
            driving: B of them.
            channel_gain: as `LiteDenseMotion` takes it, in training.
        """
        source = self.one_each(source, driving)
        motion = self.motion(source.image_01, source.keypoints, driving, channel_gain)
        drawn = self._decode(source.features, motion, None, details=False)
        if not self.config.composite:
            return (drawn.picture,)
        num_face, cells = self.config.num_face_keypoints, motion.flow.shape[-2:]
        parts = drawn_parts(driving, num_face, *cells)
        moved = (motion.flow, motion.person_flow, motion.person, parts)
        if self.inner_face is None:
            return drawn.picture, drawn.mask, *moved
        view = self._draw_inner_face(source, driving, motion, drawn)
        anew = torch.cat([view.picture, view.mask], dim=1)
        return drawn.picture, drawn.mask, *moved, anew, to_view(driving, num_face)

    def draw_inner_face(self, source: EncodedSource, driving: Keypoints) -> InnerFaceView:
        """Draw eyes and mouth in the view of `inner_face`; the mask is sharpened.

        Raises:
            ValueError: if the model has no network for it.
        """
        if self.inner_face is None:
            raise ValueError("the model does not draw the inner face anew: inner_face_width is 0")
        source = self.one_each(source, driving)
        motion = self.motion(source.image_01, source.keypoints, driving)
        drawn = self._decode(source.features, motion, None, details=False)
        return self._draw_inner_face(source, driving, motion, drawn)

    def _draw_inner_face(
        self, source: EncodedSource, driving: Keypoints, motion: LiteMotion, drawn: _Decoded
    ) -> InnerFaceView:
        assert self.inner_face is not None
        num_face = self.config.num_face_keypoints
        grid = view_grid(driving, num_face, HEIGHT, WIDTH)
        cells = view_grid(driving, num_face, HEIGHT // CELL, WIDTH // CELL)
        looks = grid + sample(motion.flow, grid).permute(0, 2, 3, 1)
        warped = sample(source.image_01, looks, "bicubic")
        picture, mask = sample(drawn.picture, grid), sample(drawn.mask, grid)
        expressions = [
            face_in_head(keypoints, num_face) for keypoints in (driving, source.keypoints)
        ]
        pixels, hidden = torch.cat([warped, picture, mask], dim=1), sample(drawn.features, cells)
        correction = self.inner_face(pixels, hidden, torch.cat(expressions, dim=1))
        gain, shift = self.config.detail_gain, self.config.detail_shift
        return InnerFaceView(
            picture=(picture + correction[:, :3]).clamp(0, 1),
            mask=sharpened(mask, gain, shift, correction[:, 3:]),
            warped=warped,
        )

    def blend_layers(self, detail: Detail, *layers: Tensor) -> Float[Tensor, "B 3 H1 W1"]:
        """Composite at the resolution of the source's detail; see `layers.blend_person`.

        The mask is sharpened by `config.detail_gain` and `detail_shift`: the decoded picture has no
        detail of this resolution, and half of it would blur the whole.
        """
        if not self.config.composite:
            return layers[0]
        decoded, mask, flow, person_flow, person, parts, *inner_face = layers
        mask = sharpened(mask, self.config.detail_gain, self.config.detail_shift)
        anew = (inner_face[0], inner_face[1]) if inner_face else None
        return blend_person(detail, decoded, mask, flow, person_flow, person, parts, anew)

    def _decode(
        self,
        features: Float[Tensor, "B C h w"],
        motion: LiteMotion,
        window: Window | None,
        details: bool,
    ) -> _Decoded:
        """Warp the features of a window, render and decode them."""
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
        picture, mask, hidden = self.decoder(torch.cat(decoder_input, dim=1))
        return _Decoded(picture, mask, hidden, rendering, occlusion)
