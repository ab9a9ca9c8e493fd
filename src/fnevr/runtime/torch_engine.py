"""PyTorch as an engine: a model layer by layer, or compiled."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fnevr.config.engines import EngineName, Precision
from fnevr.errors import FnevrError
from fnevr.geometry.driving import Driving, on_device
from fnevr.geometry.keypoints import Keypoints
from fnevr.models.encoded_source import Detail, EncodedSource, HeadFlow, SourceFace
from fnevr.models.portrait import KeypointModel, PortraitModel
from fnevr.models.pose_editor import LightweightPoseEditor
from fnevr.models.retarget_map import RetargetMap
from fnevr.runtime.engine import Turn
from fnevr.runtime.finite import finite_images, finite_keypoints
from fnevr.runtime.precision import run_networks_in

HALF = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class TorchEngine:
    """Runs a model in PyTorch; sources stay on its device.

    On CUDA a compiled model runs as CUDA graphs: a frame is one launch, not hundreds.

    Attributes:
        model: what it runs.
    """

    turn: Turn | None
    _find: Callable[..., Keypoints]
    _find_driving: Callable[..., Keypoints]

    def __init__(
        self,
        model: PortraitModel,
        device: str = "cpu",
        precision: Precision = "float32",
        *,
        compiled: bool = False,
        editor: LightweightPoseEditor | None = None,
        retarget_map: RetargetMap | None = None,
    ) -> None:
        """Take over a model: it is moved to the device and cannot be trained any more.

        Args:
            model: as it was trained, or folded (`runtime.folding.fold`), which is quicker.
            device: "cpu", "cuda" or "mps".
            precision: of the networks; keypoints and flows are float32 in any case.
            compiled: by `torch.compile`, at the first frame.
            editor: turns heads; None for models without one.
            retarget_map: how its keypoints go with a head; None where that is not known.

        Raises:
            FnevrError: if the precision is none of PyTorch's, or nothing can be compiled here.
        """
        if precision == "int8":
            raise FnevrError(
                "int8 needs `engine='onnx'` or `engine='openvino'`; the torch engines have "
                "float32, bfloat16 and float16",
                argument="precision",
            )
        self.name: EngineName = "compile" if compiled else "torch"
        self.precision: Precision = precision
        self.device = device
        self.at_once = 1
        self.model = model.to(device).eval()
        self.config = model.config
        self.retarget_map = retarget_map
        self.editor = None if editor is None else editor.to(device).eval()
        self.turn = None if editor is None else self._turn
        if precision in HALF:
            run_networks_in(self.model, HALF[precision])
        if isinstance(self.model, KeypointModel):
            self._find, self._find_driving = self.model.keypoints, self.model.driving_keypoints
        else:
            self._find = self._find_driving = self._has_no_keypoints
        self._draw = self.model.draw
        if compiled:
            self._compile()

    def side_by_side(self) -> TorchEngine:
        """Return the engine itself: PyTorch's threads share the work of one picture."""
        return self

    def keypoints(self, image_01: Float[np.ndarray, "B 3 H W"]) -> Keypoints:
        """Detect the keypoints of each image."""
        with torch.inference_mode():
            found = self._find(self._tensor(image_01)).numpy()
        return finite_keypoints(found, self.name, self.precision)

    def driving_keypoints(
        self, driving_01: Float[np.ndarray, "B 3 H W"], source: EncodedSource
    ) -> Keypoints:
        """Detect where each driving image puts the keypoints of a source."""
        if not self.config.uses_source_keypoints:
            return self.keypoints(driving_01)
        with torch.inference_mode():
            found = self._find_driving(self._tensor(driving_01), source.keypoints).numpy()
        return finite_keypoints(found, self.name, self.precision)

    def read_source(
        self,
        source_01: Float[np.ndarray, "1 3 H W"],
        detail: Detail | None = None,
        face: SourceFace | None = None,
    ) -> EncodedSource:
        """Return what `draw` needs of a source; see `Engine`."""
        own = None if detail is None else self._own_detail(detail)
        told = None
        if face is not None:
            told = SourceFace(on_device(face.own, self._tensor), self._tensor(face.person_01))
        with torch.inference_mode():
            source = self.model.read_detailed(self._tensor(source_01), own, told)
        if isinstance(source.own, Keypoints):
            finite_keypoints(source.own.numpy(), self.name, self.precision)
        return source

    def draw(
        self, source: EncodedSource, driving: Driving, detail: Detail | None = None
    ) -> Float[np.ndarray, "B 3 H1 W1"]:
        """Draw the source as the driver has it; see `Engine`."""
        if detail is not None:
            source = replace(source, detail=self._own_detail(detail))
        with torch.inference_mode():
            drawn = self._draw(source, on_device(driving, self._tensor)).float().cpu().numpy()
        return finite_images(drawn, self.name, self.precision)

    def _turn(self, keypoints: Keypoints, angles_deg: Float[np.ndarray, "B 3"]) -> Keypoints:
        assert self.editor is not None
        with torch.inference_mode():
            own = Keypoints(self._tensor(keypoints.positions), self._tensor(keypoints.jacobians))
            turned = self.editor.turned(own, self._tensor(angles_deg)).numpy()
        return finite_keypoints(turned, self.name, self.precision)

    def _has_no_keypoints(self, *_images: Tensor | Keypoints) -> Keypoints:
        raise FnevrError(
            f"'{self.config.architecture}' has no keypoints: it is driven by "
            f"{self.config.driven_by}"
        )

    def _own_detail(self, detail: Detail) -> Detail:
        head = detail.head
        if head is not None:
            head = HeadFlow(*map(self._tensor, (head.flow, head.share, head.shown)))
        mouth = detail.mouth
        if mouth is not None:
            picture_01, share = self._tensor(mouth.picture_01), self._tensor(mouth.share)
            mouth = replace(mouth, picture_01=picture_01, share=share)
        foreground, plate_01 = self._tensor(detail.foreground), self._tensor(detail.plate_01)
        return replace(detail, foreground=foreground, plate_01=plate_01, head=head, mouth=mouth)

    def _tensor(self, array: np.ndarray) -> Tensor:
        # A copy in PyTorch's own memory: NumPy's is aligned now one way, now another, and
        # convolutions round differently on it.
        return torch.tensor(array, dtype=torch.float32, device=self.device)

    def _compile(self) -> None:
        """Compile what is called for every frame."""
        is_cuda = torch.device(self.device).type == "cuda"
        if not (is_cuda or shutil.which("g++") or shutil.which("clang++")):
            raise FnevrError(
                "`engine='compile'` needs a C++ compiler on a CPU and there is none: install g++ "
                "or clang++, or use `engine='onnx'` or `engine='openvino'`",
                argument="engine",
            )
        mode = "reduce-overhead" if is_cuda else None
        self._find = torch.compile(self._find, mode=mode, dynamic=False)
        self._find_driving = torch.compile(self._find_driving, mode=mode, dynamic=False)
        self._draw = torch.compile(self._draw, mode=mode, dynamic=False)
