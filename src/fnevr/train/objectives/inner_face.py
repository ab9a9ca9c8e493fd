"""The loss of what `lite` draws eyes and mouth with, in their view; all else stays as it is."""

from __future__ import annotations

import torch
from torch import Tensor

from fnevr.data.pairs import Pairs
from fnevr.errors import FnevrError
from fnevr.geometry.flow import sample
from fnevr.geometry.keypoints import Keypoints
from fnevr.models.encoded_source import EncodedSource
from fnevr.models.lite import FNeVRLite
from fnevr.models.lite.inner_face import (
    HEIGHT,
    WIDTH,
    InnerFace,
    head_coordinates,
    view_grid,
)
from fnevr.models.lite.layers import blend, eyes_and_mouth
from fnevr.train.objectives.critics import Compare


def inner_face_terms(model: FNeVRLite, pairs: Pairs, compare: Compare) -> dict[str, Tensor]:
    """Return the unweighted terms, by the names of `InnerFaceWeights`.

    Only what the result shows is compared: the ovals around eyes and mouth. The networks that judge
    see the driving picture everywhere else.

    Args:
        model: what is trained; the batch statistics of this part alone are updated.
        pairs: one batch, or a share of it.
        compare: gives the terms of the final picture that other networks judge.

    Raises:
        FnevrError: if the model has no such part.
    """
    network = inner_face_of(model)
    model.eval()
    network.train()
    with torch.no_grad():
        detected = model.keypoints(torch.cat([pairs.source_01, pairs.driving_01]))
        count = len(pairs.source_01)
        driving, features = detected[count:], model.encode(pairs.source_01)
    expected, parts = expected_view(model, pairs, driving)
    source = EncodedSource(pairs.source_01, detected[:count], features)
    view = model.draw_inner_face(source, driving)
    final = blend(view.warped.clamp(0, 1), view.picture, view.mask)
    judged = expected + parts * (final - expected)
    terms = {
        name: (parts * (picture - expected).abs()).mean() / parts.mean()
        for name, picture in (("image", final), ("drawn", view.picture))
    }
    return terms | compare(judged, expected, pairs.driving_landmarks)


def inner_face_of(model: FNeVRLite) -> InnerFace:
    """Return the network that draws eyes and mouth.

    Raises:
        FnevrError: if the model has none.
    """
    if model.inner_face is None:
        raise FnevrError(
            "the model does not draw the inner face anew, which this stage trains: its config.json "
            "has no inner_face_width"
        )
    return model.inner_face


@torch.no_grad()
def expected_view(model: FNeVRLite, pairs: Pairs, driving: Keypoints) -> tuple[Tensor, Tensor]:
    """Return the driving pictures in the view of eyes and mouth, and the share of the ovals there.

    Args:
        model: has the view.
        pairs: their driving pictures are seen.
        driving: keypoints of these.
    """
    grid = view_grid(driving, model.config.num_face_keypoints, HEIGHT, WIDTH)
    expected = sample(pairs.driving_01, grid, "bicubic").clamp(0, 1)
    return expected, eyes_and_mouth(head_coordinates(HEIGHT, WIDTH, like=expected))
