"""The loss of all that `lite` draws with, of pictures as engines compose them.

The stage "full" compares a soft composite, in windows. In use the mask is sharpened and eyes and
mouth are drawn anew (`models.lite.layers`), so what shows is something else. Here that is compared:
the whole picture, and eyes and mouth in their view. The keypoints stay as they are, and with them
all that rests on them: tracks, pose editor, retargeting.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from fnevr.data.pairs import Pairs
from fnevr.geometry.flow import flow_to_grid, sample
from fnevr.losses import log_squared, pyramid_l1, region_weights, weighted_l1
from fnevr.models.encoded_source import Detail, EncodedSource
from fnevr.models.lite import FNeVRLite
from fnevr.models.lite.inner_face import HEIGHT, WIDTH, view_grid
from fnevr.models.lite.layers import blend
from fnevr.train.objectives.critics import Compare
from fnevr.train.objectives.inner_face import expected_view, inner_face_of
from fnevr.train.objectives.lite_motion import dropout_gain
from fnevr.train.recipe import ComposedRecipe
from fnevr.train.share import WHOLE, Share


def composed_terms(
    model: FNeVRLite,
    pairs: Pairs,
    recipe: ComposedRecipe,
    rng: Generator,
    share: Share = WHOLE,
    compare: Compare | None = None,
) -> dict[str, Tensor]:
    """Return the unweighted terms, by the names of `ComposedWeights`.

    The networks that judge see the whole picture, and eyes and mouth in their view; of each, both
    count as one term.

    Args:
        model: what is trained; batch statistics of all but the detector are updated.
        pairs: one batch, or a share of it.
        recipe: says what is left out and how much eyes and mouth weigh.
        rng: of what is left out; of the CPU, so that all devices draw the same.
        share: which share of the batch the pairs are.
        compare: gives the terms of pictures that other networks judge.

    Raises:
        FnevrError: if the model does not draw eyes and mouth anew.
    """
    inner_face_of(model)
    model.train()
    model.detector.eval()
    count, size = len(pairs.source_01), pairs.driving_01.shape[-1]
    with torch.no_grad():
        detected = model.keypoints(torch.cat([pairs.source_01, pairs.driving_01]))
    source_keypoints, driving = detected[:count], detected[count:]
    source = EncodedSource(pairs.source_01, source_keypoints, model.encode(pairs.source_01))
    gain = dropout_gain(count, model.motion.width, recipe.motion_dropout, rng, share)
    layers = model.draw_layers(source, driving, gain.to(pairs.source_01))
    decoded, flow, drawn = layers[0], layers[2], layers[6]
    image = model.blend_layers(Detail.opaque(pairs.source_01), *layers)
    attention = region_weights(pairs.driving_landmarks, size, recipe.region_gain)
    half = size // 2
    warped = sample(F.avg_pool2d(pairs.source_01, 2), flow_to_grid(flow, half, half))
    terms = {
        "image": pyramid_l1(image, pairs.driving_01, levels=4),
        "log_squared": log_squared(image, pairs.driving_01),
        "regions": weighted_l1(image, pairs.driving_01, attention),
        "decoded": pyramid_l1(decoded, pairs.driving_01, levels=2),
        "warped": pyramid_l1(warped, F.avg_pool2d(pairs.driving_01, 2), levels=4),
    }
    expected, parts = expected_view(model, pairs, driving)
    grid = view_grid(driving, model.config.num_face_keypoints, HEIGHT, WIDTH)
    looks = grid + sample(flow, grid).permute(0, 2, 3, 1)
    seen = sample(pairs.source_01, looks, "bicubic").clamp(0, 1)
    final = blend(seen, drawn[:, :3], drawn[:, 3:])
    for name, picture in (("inner_image", final), ("inner_drawn", drawn[:, :3])):
        terms[name] = (parts * (picture - expected).abs()).mean() / parts.mean()
    if compare is None:
        return terms
    judged = compare(image, pairs.driving_01, pairs.driving_landmarks)
    inner = compare(expected + parts * (final - expected), expected, pairs.driving_landmarks)
    return terms | {name: term + inner[name] for name, term in judged.items()}
