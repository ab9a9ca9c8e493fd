"""What is no number becomes a clear error, not a black picture."""

from dataclasses import replace

import numpy as np
import pytest
from support.gray_model import SIZE, GrayModel, gray

from fnevr.animation.animator import Animator
from fnevr.config.engines import PRECISIONS
from fnevr.errors import FnevrError
from fnevr.geometry.keypoints import Keypoints
from fnevr.media.arrays import to_images_01
from fnevr.models.encoded_source import EncodedSource
from fnevr.runtime.finite import check_finite
from fnevr.runtime.graph_engine import GraphEngine
from fnevr.runtime.graphs import GraphName
from fnevr.runtime.sessions import Run
from fnevr.runtime.torch_engine import TorchEngine

BROKEN = [float("nan"), float("inf"), float("-inf")]
SOURCE_01 = to_images_01([gray(100)])


class Broken(GrayModel):
    """Gives what is no number from some stage on, in one element."""

    def __init__(self, stage, value):
        super().__init__()
        self.stage, self.value = stage, value

    def keypoints(self, image_01):
        found = super().keypoints(image_01)
        positions, jacobians = found.positions.clone(), found.jacobians.clone()
        if self.stage == "positions":
            positions[-1, 1, 0] = self.value
        if self.stage == "jacobians":
            jacobians[-1, 2, 1, 0] = self.value
        return Keypoints(positions, jacobians)

    def render(self, source, driving, *, details):
        drawn = super().render(source, driving, details=details)
        if self.stage == "picture":
            image = drawn.image.clone()
            image[-1, 2, 3, 4] = self.value
            return replace(drawn, image=image)
        return drawn


@pytest.mark.parametrize("value", BROKEN)
@pytest.mark.parametrize(
    ("stage", "said"),
    [("positions", "keypoints"), ("jacobians", "keypoints"), ("picture", "drawn pictures")],
)
def test_pytorch(stage, said, value):
    animator = Animator(TorchEngine(Broken(stage, value)), name="broken")
    with pytest.raises(FnevrError, match=f"the {said} are not finite .*torch, float32"):
        list(animator.frames(gray(100), [gray(50), gray(60)], crop=False, paste_back=False))


def graph_engine(positions=0.0, jacobians=1.0, picture=0.5, turned=0.0):
    """An engine whose graphs give constants, but for one element."""

    def array(shape, value, plain):
        result = np.full(shape, plain, np.float32)
        result.reshape(-1)[-1] = value
        return result

    def keypoints_of(first, second):
        return lambda arrays, at_once=1: [
            array((len(arrays[0]), 4, 2), first, 0.0),
            array((len(arrays[0]), 4, 2, 2), second, 1.0),
        ]

    runs: dict[GraphName, Run] = {
        "keypoints": keypoints_of(positions, jacobians),
        "turn": keypoints_of(turned, 1.0),
        "draw": lambda arrays, at_once=1: [array((len(arrays[4]), 3, SIZE, SIZE), picture, 0.5)],
    }
    return GraphEngine(GrayModel().config, runs, name="openvino", precision="int8")


@pytest.mark.parametrize("value", BROKEN)
@pytest.mark.parametrize("part", ["positions", "jacobians", "picture", "turned"])
def test_graphs(part, value):
    engine = graph_engine(**{part: value})
    fine = graph_engine().keypoints(SOURCE_01)
    source = EncodedSource(SOURCE_01, fine, SOURCE_01[:, :1], None)
    angles_deg = np.zeros((1, 3), np.float32)
    calls = {
        "positions": lambda: engine.keypoints(SOURCE_01),
        "jacobians": lambda: engine.driving_keypoints(SOURCE_01, source),
        "picture": lambda: engine.draw(source, fine),
        "turned": lambda: engine.turn(fine, angles_deg),
    }
    with pytest.raises(
        FnevrError, match=r"not finite numbers .*openvino, int8.*\nuse `precision='float32'`"
    ):
        calls[part]()
    one_graph = {"positions", "jacobians"}
    for name in calls.keys() - (one_graph if part in one_graph else {part}):
        calls[name]()


def test_what_is_finite_passes_whatever_its_layout():
    array = np.linspace(-3, 3, 24, dtype=np.float32).reshape(2, 3, 4)
    for each in (array, array.transpose(2, 0, 1), array[:, ::2], array[:0]):
        for precision in PRECISIONS:
            check_finite("values", each, "torch", precision)


def test_coarse_precisions_say_what_to_do():
    engine = TorchEngine(Broken("jacobians", float("inf")), precision="bfloat16")
    with pytest.raises(FnevrError, match=r"\nuse `precision='float32'`, if bfloat16 is too coarse"):
        engine.keypoints(SOURCE_01)
