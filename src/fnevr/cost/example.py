"""A source and a driver to count and to time a model with, whatever drives it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from fnevr.geometry.driving import NUM_POINTS, Coefficients, Driving, Landmarks68
from fnevr.models.encoded_source import EncodedSource, SourceFace
from fnevr.models.portrait import KeypointModel, PortraitModel


def example_face(model: PortraitModel, image_01: Float[Tensor, "S 3 H W"]) -> SourceFace | None:
    """Return what a model has to be told of the images' faces: one at rest in each; None: nothing.

    It is on the images' device, which may be "meta".
    """
    person = torch.ones_like(image_01[:, :1])
    if model.config.driven_by == "coefficients":
        return SourceFace(Coefficients.neutral(image_01), person)
    if model.config.driven_by == "landmarks":
        generator = torch.Generator().manual_seed(0)
        points = torch.rand(len(image_01), NUM_POINTS, 2, generator=generator) - 0.5
        return SourceFace(Landmarks68(points.to(image_01)), person)
    return None


def read_example(model: PortraitModel, image_01: Float[Tensor, "S 3 H W"]) -> EncodedSource:
    """Read a source, with the detail that engines draw with."""
    return model.read_detailed(image_01, face=example_face(model, image_01))


def drive_example(
    model: PortraitModel, driving_01: Float[Tensor, "B 3 H W"], source: EncodedSource
) -> Driving:
    """Return what drives the model in each image, by the model's networks where it has such."""
    if isinstance(model, KeypointModel):
        return model.driving_keypoints(driving_01, source.keypoints)
    face = example_face(model, driving_01)
    assert face is not None
    if isinstance(face.own, Coefficients):
        return Coefficients(face.own.windows.expand(len(driving_01), -1, -1))
    return face.own
