"""Tables of the baselines' tensor names, in the form of `compat.names`."""

from __future__ import annotations

from collections.abc import Iterator

Row = tuple[str, str, str]

DEPTH: tuple[Row, ...] = (
    ("depth_encoder", "encoder.conv1.", "depth.encoder.conv."),
    ("depth_encoder", "encoder.bn1.", "depth.encoder.norm."),
    *(
        (
            "depth_encoder",
            f"encoder.layer{stage + 1}.{block}.{theirs}.",
            f"depth.encoder.stages.{stage}.{block}.{ours}.",
        )
        for stage in range(4)
        for block in range(2)
        for theirs, ours in (
            ("conv1", "conv1"),
            ("bn1", "norm1"),
            ("conv2", "conv2"),
            ("bn2", "norm2"),
            ("downsample.0", "skip"),
            ("downsample.1", "skip_norm"),
        )
    ),
    *(
        (
            "depth_decoder",
            f"decoder.{2 * level + part}.conv.conv.",
            f"depth.decoder.{ours}.{level}.",
        )
        for level in range(5)
        for part, ours in enumerate(("reduce", "join"))
    ),
    *(
        ("depth_decoder", f"decoder.{10 + level}.conv.", f"depth.decoder.disparity.{level}.")
        for level in range(4)
    ),
)

DAGAN: tuple[Row, ...] = (
    ("generator", "src_first.", "depth_encoder.stem."),
    ("generator", "src_down_blocks.", "depth_encoder.down."),
    ("generator", "AttnModule.query_conv.", "attention.query."),
    ("generator", "AttnModule.key_conv.", "attention.key."),
    ("generator", "AttnModule.value_conv.", "attention.value."),
    ("generator", "AttnModule.gamma", "attention.gain"),
    *DEPTH,
)


def residual_spade_decoder(ours: str, num_middle_blocks: int) -> tuple[Row, ...]:
    """Return the rows of `ResidualSpadeDecoder`, whose own names begin with `ours`."""
    blocks = [
        *((f"G_middle_{index}", f"middle.{index}") for index in range(num_middle_blocks)),
        ("up_0", "up.0"),
        ("up_1", "up.1"),
    ]
    return (
        ("generator", "decoder.fc.", f"{ours}expand."),
        *(row for theirs, our in blocks for row in _spade_block(theirs, f"{ours}{our}")),
        ("generator", "decoder.conv_img.", f"{ours}to_image."),
    )


def _spade_block(theirs: str, ours: str) -> Iterator[Row]:
    for their_norm, our_norm in (("norm_0", "norm1"), ("norm_1", "norm2"), ("norm_s", "skip_norm")):
        for their, our in (
            ("mlp_shared.0", "shared"),
            ("mlp_gamma", "gamma"),
            ("mlp_beta", "beta"),
        ):
            yield (
                "generator",
                f"decoder.{theirs}.{their_norm}.{their}.",
                f"{ours}.{our_norm}.{our}.",
            )
    # Their spectral norm keeps the weight and its singular vectors beside the bias.
    for their_conv, our_conv in (("conv_0", "conv1"), ("conv_1", "conv2"), ("conv_s", "skip")):
        for their, our in (
            ("weight_orig", "parametrizations.weight.original"),
            ("weight_u", "parametrizations.weight.0._u"),
            ("weight_v", "parametrizations.weight.0._v"),
            ("bias", "bias"),
        ):
            yield (
                "generator",
                f"decoder.{theirs}.{their_conv}.{their}",
                f"{ours}.{our_conv}.{our}",
            )


DAGAN_SPADE_DECODER: tuple[Row, ...] = (
    ("generator", "decoder.compress.", "decoder.guide."),
    *residual_spade_decoder("decoder.spade.", num_middle_blocks=3),
)


def _head_pose_blocks() -> Iterator[tuple[str, str]]:
    """Pair their blocks, whose halving ones stand apart, with ours."""
    for stage, their_first, their_rest, num_rest in (
        (0, None, 1, 3),
        (1, 2, 3, 3),
        (2, 4, 5, 5),
        (3, 6, 7, 2),
    ):
        if their_first is not None:
            yield f"block{their_first}", f"stages.{stage}.blocks.0"
        offset = 0 if their_first is None else 1
        for index in range(num_rest):
            yield (
                f"block{their_rest}.b{their_rest}_{index}",
                f"stages.{stage}.blocks.{index + offset}",
            )


HEAD_POSE: tuple[Row, ...] = (
    ("he_estimator", "conv1.", "head_pose.conv."),
    ("he_estimator", "norm1.", "head_pose.norm."),
    *(
        ("he_estimator", f"{part}{stage + 2}.", f"head_pose.stages.{stage}.{part}.")
        for stage in range(4)
        for part in ("conv", "norm")
    ),
    *(
        ("he_estimator", f"{theirs}.{their_part}.", f"head_pose.{ours}.{our_part}.")
        for theirs, ours in _head_pose_blocks()
        for their_part, our_part in (
            *((part, part) for part in ("conv1", "conv2", "conv3", "norm1", "norm2", "norm3")),
            ("skip", "skip"),
            ("norm4", "skip_norm"),
        )
    ),
    # The released code calls the yaw's layer fc_roll and the roll's fc_yaw.
    ("he_estimator", "fc_roll.", "head_pose.yaw."),
    ("he_estimator", "fc_pitch.", "head_pose.pitch."),
    ("he_estimator", "fc_yaw.", "head_pose.roll."),
    ("he_estimator", "fc_t.", "head_pose.translation."),
    ("he_estimator", "fc_exp.", "head_pose.expression."),
)

FACE_VID2VID: tuple[Row, ...] = (
    *(
        ("kp_detector", f"predictor.{way}_blocks.{way}{level}.", f"detector.{way}.{level}.")
        for way in ("down", "up")
        for level in range(5)
    ),
    ("kp_detector", "predictor.conv.", "detector.lift."),
    ("kp_detector", "kp.", "detector.heatmap."),
    ("kp_detector", "down.weight", "detector.downsample.kernel"),
    *HEAD_POSE,
    ("generator", "dense_motion_network.compress.", "motion.compress."),
    ("generator", "dense_motion_network.norm.", "motion.norm."),
    (
        "generator",
        "dense_motion_network.hourglass.encoder.down_blocks.",
        "motion.hourglass.down.",
    ),
    ("generator", "dense_motion_network.hourglass.decoder.up_blocks.", "motion.hourglass.up."),
    ("generator", "dense_motion_network.hourglass.decoder.conv.", "motion.mix.conv."),
    ("generator", "dense_motion_network.hourglass.decoder.norm.", "motion.mix.norm."),
    ("generator", "dense_motion_network.mask.", "motion.mask."),
    ("generator", "dense_motion_network.occlusion.", "motion.occlusion."),
    ("generator", "first.", "encoder.image.stem."),
    ("generator", "down_blocks.", "encoder.image.down."),
    ("generator", "second.", "encoder.lift."),
    *(("generator", f"resblocks_3d.3dr{i}.", f"encoder.residual.{i}.") for i in range(6)),
    ("generator", "third.conv.", "project.conv."),
    ("generator", "third.norm.", "project.norm."),
    ("generator", "fourth.", "project.mix."),
)

FACE_VID2VID_DECODER: tuple[Row, ...] = (
    *(("generator", f"resblocks_2d.2dr{i}.", f"decoder.bottleneck.{i}.") for i in range(6)),
    ("generator", "up_blocks.", "decoder.up."),
    ("generator", "final.", "decoder.to_image."),
)
