"""The loss of Face vid2vid, in both of its forms.

Wang et al., "One-Shot Free-View Neural Talking-Head Synthesis for Video Conferencing", CVPR 2021,
section 3.2 and supplement: perceptual, GAN (hinge, with feature matching), equivariance, keypoint
prior, head pose, deformation prior. The authors' head poses are of a network that is not here, so
the head fitted to the landmarks says them; and the perceptual network is the recipe's, where the
paper adds one of faces (`face_network` is ours).

Shapes: B pairs, K keypoints, R frames of N landmarks.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor

from fnevr.data.pairs import Pairs
from fnevr.face3d.face_fit import FaceFit
from fnevr.geometry.keypoints import Keypoints
from fnevr.losses import keypoint_prior, position_equivariance
from fnevr.models.baselines.face_vid2vid import FaceVid2Vid, posed_keypoints
from fnevr.train.objectives.critics import Critics
from fnevr.train.objectives.pictures import draw_warp, picture_terms
from fnevr.train.recipe_baselines import FaceVid2VidRecipe
from fnevr.train.share import WHOLE, Share

SIDE_PX = 256  # any size would do: the rotation does not depend on it


class HeadRotation:
    """Describes a pair by the driving head's rotation, from the mean face's to the picture's.

    The axes are the picture's (x to the right, y down, z away from the camera), which are those of
    the model's keypoints.
    """

    reach = 0

    def __call__(
        self, images: UInt8[Tensor, "2 3 H W"], landmarks: Float[Tensor, "R N 2"]
    ) -> Float[Tensor, "3 3"]:
        """Fit the head to the landmarks of the driving frame."""
        del images
        fit = FaceFit()
        fit.update((landmarks[1].numpy() + 1) * (SIDE_PX / 2))
        return torch.from_numpy(fit.similarity.rotation).float()


def face_vid2vid_terms(
    model: FaceVid2Vid,
    pairs: Pairs,
    recipe: FaceVid2VidRecipe,
    rng: Generator,
    share: Share = WHOLE,
    critics: Critics | None = None,
) -> dict[str, Tensor]:
    """Return the unweighted terms of the loss, by the names of `FaceVid2VidWeights`.

    Args:
        model: what is trained; its batch statistics are updated.
        pairs: one batch, or a share of it, described by `HeadRotation`.
        recipe: says which of `lite`'s terms there are.
        rng: of the warps; of the CPU, so that all devices draw the same.
        share: which share of the batch the pairs are.
        critics: give the terms of the picture that other networks judge.
    """
    driving_01 = pairs.driving_01
    source = model.keypoints(pairs.source_01)
    head = model.head_pose(driving_01)
    driving = posed_keypoints(source.canonical, head)
    generated = model.generate(pairs.source_01, source, driving)
    terms = picture_terms(generated.image, pairs, recipe)
    if critics is not None:
        terms |= critics.compare(generated.image, driving_01, pairs.driving_landmarks)

    # The canonical keypoints are the source's: what a warp changes is pose and expression alone.
    warp = draw_warp(driving_01, rng, share)
    warped = posed_keypoints(source.canonical, model.head_pose(warp.view(driving_01)))
    terms["equivariance_position"] = position_equivariance(
        _in_plane(driving), _in_plane(warped), warp
    )

    terms["keypoint_prior"] = keypoint_prior(driving.positions)
    assert pairs.described is not None
    terms["head_pose"] = (head.rotation() - pairs.described).abs().sum(dim=(1, 2)).mean()
    terms["deformation"] = head.expression.abs().sum(dim=-1).mean()
    return terms


def _in_plane(keypoints: Keypoints) -> Keypoints:
    """Return the keypoints as they are seen from the front."""
    return Keypoints(keypoints.positions[..., :2], keypoints.jacobians[..., :2, :2])
