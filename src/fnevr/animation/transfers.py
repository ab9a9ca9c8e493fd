"""How motion goes from the driver to the source, by name.

- retarget: what the driver's face does, in the head model's terms (`animation.retargeting`).
- relative: changes of the driver's keypoints since its reference frame (FOMM, section 3.4).
- absolute: the driver's keypoints themselves; coefficients and landmarks always go over so.
"""

from __future__ import annotations

from typing import Literal, TypedDict

from fnevr.animation.reference_frame import BestFrame
from fnevr.animation.regions import Regions
from fnevr.animation.retargeting import can_retarget
from fnevr.animation.sliders import FaceSliders
from fnevr.errors import FnevrError
from fnevr.runtime.engine import Engine

Transfer = Literal["retarget", "relative", "absolute"]
TransferChoice = Literal["auto", "retarget", "relative", "absolute"]


def choose_transfer(
    engine: Engine,
    name: str,
    choice: TransferChoice,
    best_frame: BestFrame | None,
    *,
    performs: bool = True,
) -> Transfer:
    """Say how motion goes over.

    "auto" is relative where a reference frame is named, and where the model cannot retarget or the
    driver has no performance; absolute in models that are not driven by keypoints.

    Args:
        engine: runs the model.
        name: of the model, for messages.
        choice: what is asked for.
        best_frame: the reference frame that is asked for; it belongs to relative motion.
        performs: whether the driver has a performance, which tracks of older versions lack.

    Raises:
        FnevrError: if the model cannot do it, or a reference frame is asked for in vain.
    """
    moves_relatively = engine.config.driven_by == "keypoints"
    usual: Transfer = "relative" if moves_relatively else "absolute"
    chosen: Transfer = choice if choice != "auto" else usual
    if choice == "auto" and best_frame is None and performs and can_retarget(engine):
        chosen = "retarget"
    if chosen == "retarget" and not can_retarget(engine):
        raise FnevrError(
            f"the model '{name}' cannot retarget: use `transfer='{usual}'`, or the model 'lite'",
            argument="transfer",
        )
    if chosen == "relative" and not moves_relatively:
        raise FnevrError(
            f"the model '{name}' is driven by {engine.config.driven_by}, which are absolute: use "
            "`transfer='absolute'`",
            argument="transfer",
        )
    if best_frame is not None and chosen != "relative":
        raise FnevrError(
            f"a reference frame has no meaning with `transfer='{chosen}'`: leave it out, or use "
            "`transfer='relative'`",
            argument="best_frame",
        )
    return chosen


class RetargetingOptions(TypedDict):
    """What only retargeting knows."""

    regions: Regions
    sliders: FaceSliders


def retargeting_options(
    transfer: Transfer, regions: Regions | None, sliders: FaceSliders | None
) -> RetargetingOptions:
    """Fill in what was left out.

    Raises:
        FnevrError: if something is asked for that the transfer does not know.
    """
    asked = {"regions": regions, "sliders": sliders}
    for name, value in asked.items():
        if value is not None and transfer != "retarget":
            raise FnevrError(
                f"{name} have no meaning with `transfer='{transfer}'`: leave them out, or use "
                "`transfer='retarget'`"
            )
    return {"regions": regions or Regions(), "sliders": sliders or FaceSliders()}
