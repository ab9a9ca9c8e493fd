"""FNeVR, the root: keypoints, dense motion, warp, face volume rendering, SPADE decoder.

Zeng et al., "FNeVR: Neural Volume Rendering for Face Animation", NeurIPS 2022.

Shapes: S sources (one, or one per frame), B driving frames, H and W pixels. RGB in [0, 1].
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch

from fnevr.config.folder import read_config
from fnevr.config.models import FNeVRConfig
from fnevr.config.presets import resolve_model
from fnevr.geometry.keypoints import Keypoints
from fnevr.geometry.warps import warp
from fnevr.models.decoder import SpadeDecoder
from fnevr.models.encoded_source import EncodedSource
from fnevr.models.lite import FNeVRLite
from fnevr.models.portrait import Generated, ReferenceModel
from fnevr.models.volume import FaceVolumeRenderer


class FNeVR(ReferenceModel):
    """Animate a source image with the keypoints of a driving image."""

    architecture: ClassVar[str] = "fnevr"
    config: FNeVRConfig

    def __init__(self, config: FNeVRConfig) -> None:
        super().__init__(config)
        width, num_downs = config.encoder.out_width, config.encoder.num_downs
        self.renderer = FaceVolumeRenderer(
            width,
            config.renderer.num_planes,
            config.renderer.plane_width,
            config.renderer.num_residual_blocks,
            config.renderer.hidden_width,
            config.renderer.auxiliary_width,
            num_downs,
            config.renderer.transmittance,
        )
        self.decoder = SpadeDecoder(
            2 * width,
            config.decoder.widths,
            num_downs,
            config.decoder.modulation_width,
            config.decoder.spade_width,
        )

    def render(self, source: EncodedSource, driving: Keypoints, *, details: bool) -> Generated:
        """Draw the source as the driving keypoints have it; see `KeypointModel.render`."""
        source = self.one_each(source, driving)
        motion = self.motion(source.image_01, source.keypoints, driving)
        warped_features = motion.warp_features(source.features)
        rendering = self.renderer(warped_features, auxiliary=details)
        image = self.decoder(torch.cat((warped_features, rendering.features), dim=1))
        return Generated(
            image=image,
            occlusion=motion.occlusion,
            masks=motion.masks,
            flow=motion.flow,
            warped=warp(source.image_01, motion.flow) if details else None,
            rendered=rendering.image,
            density_features=rendering.density_features,
        )

    @classmethod
    def from_pretrained(  # type: ignore[override]  # one public name loads both sizes
        cls, folder: str | Path, device: torch.device | str = "cpu"
    ) -> FNeVR | FNeVRLite:
        """Load FNeVR of either size, as the folder's config says, ready for inference.

        Args:
            folder: of the weights, or the name of a preset whose weights are here: "lite".
            device: where the model goes.

        Raises:
            CheckpointError: if files are missing or damaged, or hold another model.
        """
        place = resolve_model(folder)
        if read_config(place).architecture == FNeVRLite.architecture:
            return FNeVRLite.from_pretrained(place, device)
        return super().from_pretrained(place, device)
