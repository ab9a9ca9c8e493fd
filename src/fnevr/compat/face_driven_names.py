"""Tables of the tensor names of PIRender and Bilayer, in the form of `compat.names`."""

from __future__ import annotations

from collections.abc import Iterator

from fnevr.compat.baseline_names import Row

_EMA = "net_G_ema"  # PIRender's average of the weights, which its authors draw with


def _adaptive_norm(theirs: str, ours: str) -> Iterator[Row]:
    for their, our in (("mlp_shared.0", "shared"), ("mlp_gamma", "gamma"), ("mlp_beta", "beta")):
        yield _EMA, f"{theirs}.{their}.", f"{ours}.{our}."


def _warping() -> Iterator[Row]:
    stem = "warpping_net.hourglass"
    parts = (("conv_0", "conv1"), ("conv_1", "conv2"), ("conv_s", "skip"))
    norms = (("norm_0", "norm1"), ("norm_1", "norm2"), ("norm_s", "skip_norm"))
    blocks = [
        *((f"{stem}.encoder.encoder{level}", f"warping.down.{level}", 2) for level in range(5)),
        *((f"{stem}.decoder.decoder{4 - index}", f"warping.up.{index}", 3) for index in range(3)),
    ]
    for theirs, ours, count in blocks:
        for their, our in parts[:count]:
            yield _EMA, f"{theirs}.{their}.", f"{ours}.{our}."
        for their, our in norms[:count]:
            yield from _adaptive_norm(f"{theirs}.{their}", f"{ours}.{our}")


def _editing() -> Iterator[Row]:
    convs = [
        ("encoder.first", "stem"),
        *((f"encoder.down{level}", f"down.{level}") for level in range(3)),
        *((f"decoder.up{2 - index}", f"up.{index}") for index in range(3)),
        *((f"decoder.jump{2 - index}", f"jump.{index}") for index in range(3)),
    ]
    for theirs, ours in convs:
        for their, our in (("model.0", "conv"), ("model.1", "norm")):
            yield _EMA, f"editing_net.{theirs}.{their}.", f"editing.{ours}.{our}."
    for index in range(3):
        for block in range(2):
            theirs = f"editing_net.decoder.res{2 - index}.res{block}"
            ours = f"editing.residual.{index}.{block}"
            for number in (1, 2):
                yield _EMA, f"{theirs}.conv{number}.", f"{ours}.conv{number}."
                yield from _adaptive_norm(f"{theirs}.norm{number}", f"{ours}.norm{number}")


PIRENDER: tuple[Row, ...] = (
    (_EMA, "mapping_net.first.0.", "mapping.first."),
    *((_EMA, f"mapping_net.encoder{i}.1.", f"mapping.layers.{i}.") for i in range(3)),
    (_EMA, "warpping_net.hourglass.encoder.input_layer.", "warping.stem."),
    (_EMA, "warpping_net.flow_out.0.", "warping.flow_norm."),
    (_EMA, "warpping_net.flow_out.2.", "warping.flow."),
    *_warping(),
    *_editing(),
    (_EMA, "editing_net.decoder.final.model.0.", "editing.to_image."),
)

_NUM_BLOCKS = 6


def _spectral(part: str, theirs: str, ours: str) -> Iterator[Row]:
    """Give the rows of a layer whose weight is kept beside its singular vectors."""
    for their, our in (
        ("weight_orig", "weight"),
        ("weight_u", "u"),
        ("weight_v", "v"),
        ("bias", "bias"),
    ):
        yield part, f"{theirs}.{their}", f"{ours}.{our}"


def _plain_block(part: str, theirs: str, ours: str, *, up: bool = False) -> Iterator[Row]:
    first, skip = ("block_feats.2", "skip.1") if up else ("block_feats.1", "skip.0")
    for their, our in ((first, "conv1"), ("block.0", "conv2"), (skip, "skip")):
        yield from _spectral(part, f"{theirs}.{their}", f"{ours}.{our}")


def _identity() -> Iterator[Row]:
    part = "identity_embedder"
    yield from _spectral(part, "net.enc.0", "identity.stem")
    for level in range(5):
        yield from _plain_block(part, f"net.enc.{level + 1}", f"identity.down.{level}")
    for block in range(_NUM_BLOCKS):
        yield from _plain_block(part, f"net.dec_blocks.{block}", f"identity.blocks.{block}")


def _texture() -> Iterator[Row]:
    part = "texture_generator"
    yield part, "gen_tex_input", "texture.start"
    for block in range(_NUM_BLOCKS):
        theirs, ours = f"gen_tex.blocks.{block}", f"texture.blocks.{block}"
        for their, our in (("block_feats.3", "conv1"), ("block.0", "conv2")):
            yield from _spectral(part, f"{theirs}.{their}", f"{ours}.{our}")
        if block == 0:
            yield part, f"{theirs}.block_feats.0.", f"{ours}.norm1."
        else:
            yield from _mapped_norm(f"{theirs}.block_feats.0", f"{ours}.norm1")
        yield from _mapped_norm(f"{theirs}.block_feats.4", f"{ours}.norm2")
    yield from _mapped_norm(f"gen_tex.blocks.{_NUM_BLOCKS}", "texture.norm")
    yield from _spectral(part, "gen_tex.heads.0.0", "texture.to_image")
    yield from _projector(part, "prj_tex", "texture_weights", 5)


def _mapped_norm(theirs: str, ours: str) -> Iterator[Row]:
    yield "texture_generator", f"{theirs}.pixel_feats", f"{ours}.map"
    yield "texture_generator", f"{theirs}.norm_layer.", f"{ours}.norm."


def _inference() -> Iterator[Row]:
    part = "inference_generator"
    yield part, "identity_grid", "inference.identity_grid"
    for block in range(_NUM_BLOCKS):
        theirs, ours = f"gen_inf.blocks.{block}", f"inference.blocks.{block}"
        for their, our in (("block_feats.2", "conv1"), ("block.1", "conv2")):
            yield from _spectral(part, f"{theirs}.{their}", f"{ours}.{our}")
        first = "" if block == 0 else "norm_layer."
        yield part, f"{theirs}.block_feats.0.{first}", f"{ours}.norm1."
        yield part, f"{theirs}.block_feats.3.norm_layer.", f"{ours}.norm2."
    yield part, f"gen_inf.blocks.{_NUM_BLOCKS}.norm_layer.", "inference.norm."
    for index, ours in enumerate(("offset", "low_frequency", "person")):
        yield from _spectral(part, f"gen_inf.heads.{index}.0", f"inference.{ours}")
    yield from _projector(part, "prj_inf", "inference_weights", 3)


def _projector(part: str, theirs: str, ours: str, count: int) -> Iterator[Row]:
    for block in range(_NUM_BLOCKS):
        for which in range(count):
            for layer in range(3):
                place = f"{block}.{which}.{layer}"
                yield from _spectral(part, f"{theirs}.fc_blocks.{place}", f"{ours}.blocks.{place}")


def _enhancer() -> Iterator[Row]:
    part, num_blocks = "texture_enhancer", 8
    yield from _spectral(part, "net.blocks.0", "enhancer.stem")
    for index in range(num_blocks + 2):
        theirs, ours = f"net.blocks.{index + 1}", f"enhancer.blocks.{index}"
        yield from _plain_block(part, theirs, ours, up=index == num_blocks + 1)
    yield from _spectral(part, "net.blocks.13", "enhancer.to_change")


BILAYER: tuple[Row, ...] = (
    *_identity(),
    *_texture(),
    *(
        row
        for index in range(4)
        for row in _spectral("keypoints_embedder", f"net.mlp.{2 * index}", f"pose.layers.{index}")
    ),
    *_inference(),
)
BILAYER_ENHANCER: tuple[Row, ...] = tuple(_enhancer())
