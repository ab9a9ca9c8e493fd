"""Tables of tensor names: (part of the checkpoint, their prefix, our prefix).

A tensor's name starts with exactly one prefix of its table; what follows is the same on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass

from fnevr.compat.baseline_names import (
    DAGAN,
    DAGAN_SPADE_DECODER,
    FACE_VID2VID,
    FACE_VID2VID_DECODER,
    Row,
    residual_spade_decoder,
)
from fnevr.compat.face_driven_names import BILAYER, BILAYER_ENHANCER, PIRENDER
from fnevr.config.models import AnyConfig
from fnevr.config.presets import find_preset

DETECTOR: tuple[Row, ...] = (
    ("kp_detector", "predictor.encoder.down_blocks.", "detector.hourglass.down."),
    ("kp_detector", "predictor.decoder.up_blocks.", "detector.hourglass.up."),
    ("kp_detector", "kp.", "detector.heatmap."),
    ("kp_detector", "jacobian.", "detector.jacobian."),
    ("kp_detector", "down.weight", "detector.downsample.kernel"),
)

MOTION: tuple[Row, ...] = (
    (
        "generator",
        "dense_motion_network.hourglass.encoder.down_blocks.",
        "motion.hourglass.down.",
    ),
    ("generator", "dense_motion_network.hourglass.decoder.up_blocks.", "motion.hourglass.up."),
    ("generator", "dense_motion_network.mask.", "motion.mask."),
    ("generator", "dense_motion_network.occlusion.", "motion.occlusion."),
    ("generator", "dense_motion_network.down.weight", "motion.downsample.kernel"),
)

ENCODER: tuple[Row, ...] = (
    ("generator", "first.", "encoder.stem."),
    ("generator", "down_blocks.", "encoder.down."),
)

RENDERER: tuple[Row, ...] = (
    ("generator", "Render_model.rgb_predict.down_conv.", "renderer.color_volume.project."),
    ("generator", "Render_model.sigma_predict.down_conv.", "renderer.density_volume.project."),
    ("generator", "Render_model.sigma_predict.res_conv3d.", "renderer.density_volume.residual."),
    ("generator", "Render_model.nerf_module.layer1.", "renderer.field.shared.0."),
    ("generator", "Render_model.nerf_module.layer2.", "renderer.field.shared.1."),
    ("generator", "Render_model.nerf_module.layer3_1.", "renderer.field.density."),
    ("generator", "Render_model.nerf_module.layer3_2.", "renderer.field.density_feature."),
    ("generator", "Render_model.nerf_module.layer3_3.", "renderer.field.color_feature."),
    ("generator", "Render_model.nerf_module.layer4.", "renderer.field.emission.0."),
    ("generator", "Render_model.nerf_module.layer5.", "renderer.field.emission.1."),
    ("generator", "Render_model.nerf_module.layer6.", "renderer.field.emission.2."),
    ("generator", "Render_model.mini_decoder.0.", "renderer.auxiliary.up.0."),
    ("generator", "Render_model.mini_decoder.2.", "renderer.auxiliary.up.1."),
)

SPADE_DECODER: tuple[Row, ...] = (
    ("generator", "decoder.seg_conv.0.", "decoder.modulation."),
    *(
        ("generator", f"decoder.SPADE_{block}.{theirs}.", f"decoder.blocks.{block}.{ours}.")
        for block in range(4)
        for theirs, ours in (
            ("SPADE_0.mlp_shared.0", "norm1.shared"),
            ("SPADE_0.mlp_gamma", "norm1.gamma"),
            ("SPADE_0.mlp_beta", "norm1.beta"),
            ("conv_0", "conv1"),
            ("SPADE_1.mlp_shared.0", "norm2.shared"),
            ("SPADE_1.mlp_gamma", "norm2.gamma"),
            ("SPADE_1.mlp_beta", "norm2.beta"),
            ("conv_1", "conv2"),
        )
    ),
    ("generator", "decoder.final.0.", "decoder.to_image."),
)

RESIDUAL_DECODER: tuple[Row, ...] = (
    ("generator", "bottleneck.r", "decoder.bottleneck."),
    ("generator", "up_blocks.", "decoder.up."),
    ("generator", "final.", "decoder.to_image."),
)


@dataclass(frozen=True)
class Layout:
    """How a project names the tensors of its checkpoints.

    Attributes:
        name: of the model, for messages.
        preset: the name of the released model in `fnevr.config.presets`.
        signature: a prefix in one of its parts by which the layout is recognized; layouts are tried
            in the order of `LAYOUTS`, and none that comes later has this prefix.
        rows: the table of names.
        optional_rows: that of a part which some checkpoints lack.
        has_file_per_part: whether a checkpoint is a folder, with a file EPOCH_PART.pth each.
    """

    name: str
    preset: str
    signature: str
    rows: tuple[Row, ...]
    optional_rows: tuple[Row, ...] = ()
    has_file_per_part: bool = False

    def config(self) -> AnyConfig:
        """Return the configuration of the released model."""
        preset = find_preset(self.preset)
        assert preset is not None
        return (preset.released_config or preset.config)()

    @property
    def architecture(self) -> str:
        """Our name of the model class."""
        return self.config().architecture

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the checkpoint that hold the model."""
        return tuple(dict.fromkeys(part for part, _, _ in self.rows))

    @property
    def optional_parts(self) -> tuple[str, ...]:
        """The parts that some checkpoints lack."""
        return tuple(dict.fromkeys(part for part, _, _ in self.optional_rows))

    def to_theirs(self, name: str) -> tuple[str, str] | None:
        """Return part and name of our tensor in their checkpoint, or None."""
        for part, theirs, ours in (*self.rows, *self.optional_rows):
            if name.startswith(ours):
                return part, theirs + name.removeprefix(ours)
        return None


LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "fnevr",
        "base",
        "Render_model.",
        (*DETECTOR, *MOTION, *ENCODER, *RENDERER, *SPADE_DECODER),
    ),
    Layout(
        "dagan-spade",
        "dagan-spade",
        "decoder.compress.",
        (*DETECTOR, *MOTION, *ENCODER, *DAGAN, *DAGAN_SPADE_DECODER),
    ),
    Layout(
        "dagan",
        "dagan",
        "src_first.",
        (*DETECTOR, *MOTION, *ENCODER, *DAGAN, *RESIDUAL_DECODER),
    ),
    Layout(
        "face-vid2vid-s",
        "face-vid2vid-s",
        "decoder.G_middle_",
        (*FACE_VID2VID, *residual_spade_decoder("decoder.", num_middle_blocks=6)),
    ),
    Layout(
        "face-vid2vid",
        "face-vid2vid",
        "resblocks_3d.",
        (*FACE_VID2VID, *FACE_VID2VID_DECODER),
    ),
    Layout("fomm", "fomm", "bottleneck.", (*DETECTOR, *MOTION, *ENCODER, *RESIDUAL_DECODER)),
    Layout("pirender", "pirender", "mapping_net.", PIRENDER),
    Layout(
        "bilayer", "bilayer", "net.dec_blocks.", BILAYER, BILAYER_ENHANCER, has_file_per_part=True
    ),
)
