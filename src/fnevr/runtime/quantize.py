"""Eight-bit convolutions: a draw graph calibrated on clips, by ONNX Runtime's quantizer.

Static quantization of weights (int8, by output channel) and activations (uint8), written with
QuantizeLinear and DequantizeLinear, which ONNX Runtime and OpenVINO both turn into integer
arithmetic.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fnevr.data.clips import Clip, load_clips
from fnevr.errors import FnevrError
from fnevr.extras import how_to_install
from fnevr.geometry.keypoints import Keypoints
from fnevr.media.arrays import to_images_01
from fnevr.models.encoded_source import Detail, EncodedSource
from fnevr.models.portrait import KeypointModel
from fnevr.progress import Progress
from fnevr.runtime.graph_engine import draw_inputs
from fnevr.runtime.graphs import INPUTS
from fnevr.runtime.rounding import round_before_moving, round_once
from fnevr.runtime.sessions import onnx_run

NUM_PAIRS = 48
SEED = 0
LEAST_PSNR_DB = 38.0
"""Between the pictures of float32 and of eight bits; below that the difference is seen."""
QUANTIZED_PARTS = ("decoder", "renderer", "inner_face")
"""Parts of a model whose convolutions are quantized. Not the motion: its flow moves pixels."""


def quantize(
    model: KeypointModel,
    draw_graph: Path,
    calibration: list[Clip],
    progress: Progress | None = None,
) -> None:
    """Replace a draw graph by its quantized form.

    Args:
        model: what the graph was exported from; gives the graph's inputs.
        draw_graph: the file.
        calibration: clips that the ranges of values come from, not those of a measurement.
        progress: is called after every pair of frames.

    Raises:
        FnevrError: if there is nothing to quantize, or the tools are missing.
    """
    try:
        import onnx  # noqa: PLC0415 (optional)
        from onnxruntime.quantization import (  # noqa: PLC0415 (optional)
            CalibrationMethod,
            QuantFormat,
            QuantType,
            quantize_static,
        )
    except ImportError as error:
        raise FnevrError(f"quantizing needs ONNX: {how_to_install('onnx')}") from error

    nodes = quantized_nodes(onnx.load(draw_graph))
    if not nodes:
        raise FnevrError(f"'{model.architecture}' has no convolution to quantize")
    inputs = calibration_inputs(model, calibration)
    quantized = draw_graph.with_suffix(".int8.onnx")
    with _root_logger_at(logging.ERROR):  # the quantizer gives every model the same advice there
        quantize_static(
            draw_graph,
            quantized,
            _Reader(inputs, progress),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=nodes,
            op_types_to_quantize=["Conv"],
            calibrate_method=CalibrationMethod.MinMax,
            # The mean of the frames' ranges: one odd frame would widen those of all.
            extra_options={"CalibMovingAverage": True},
        )
    rounded = onnx.load(quantized)
    round_once(rounded)
    round_before_moving(rounded)
    onnx.save(rounded, draw_graph)
    quantized.unlink()


@contextmanager
def _root_logger_at(level: int) -> Iterator[None]:
    """Set the root logger's level while the block runs."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(level)
    try:
        yield
    finally:
        root.setLevel(before)


@dataclass(frozen=True)
class Calibration:
    """Clips for quantizing: what ranges come from, and what the result is measured on."""

    clips: list[Clip]
    held_out: list[Clip]

    @classmethod
    def load(cls, folder: Path) -> Calibration:
        """Read a prepared folder: its training clips, and those for validation.

        Raises:
            FnevrError: if it is none, or lacks either.
        """
        calibration = cls(load_clips(folder, "train"), load_clips(folder, "val"))
        if not calibration.clips or not calibration.held_out:
            raise FnevrError(
                f"'{folder}' has {len(calibration.clips)} training clips and "
                f"{len(calibration.held_out)} for validation: quantizing needs both, of a folder "
                "that `fnevr prepare` made"
            )
        return calibration


@torch.inference_mode()
def quantized_psnr(model: KeypointModel, draw_graph: Path, clips: list[Clip]) -> float:
    """Return the PSNR of a quantized graph's pictures from the model's, in dB: the mean of pairs.

    Args:
        model: in float32.
        draw_graph: the quantized file.
        clips: not those of the calibration.
    """
    run = onnx_run(draw_graph.read_bytes(), "draw", "cpu")
    psnrs_db = []
    for feed in calibration_inputs(model, clips):
        source_01, features, *keypoints = (torch.from_numpy(array) for array in feed.values())
        source = EncodedSource(source_01, Keypoints(*keypoints[:2]), features)
        detail = Detail.opaque(source_01)
        exact = model.draw_layers(source, Keypoints(*keypoints[2:]))
        rough = (torch.from_numpy(layer) for layer in run(list(feed.values())))
        exact_01, rough_01 = (model.blend_layers(detail, *layers) for layers in (exact, rough))
        error = (rough_01 - exact_01).square().mean().clamp(min=1e-10)
        psnrs_db.append(-10 * error.log10().item())
    return float(np.mean(psnrs_db))


def quantized_nodes(graph: Any) -> list[str]:
    """Return the names of an ONNX model's convolutions in the parts that are quantized."""
    names = []
    for node in graph.graph.node:
        metadata = {entry.key: entry.value for entry in node.metadata_props}
        scopes = metadata.get("pkg.torch.onnx.name_scopes", "")
        if node.op_type == "Conv" and any(f"'model.{part}" in scopes for part in QUANTIZED_PARTS):
            names.append(node.name)
    return names


@torch.inference_mode()
def calibration_inputs(model: KeypointModel, clips: list[Clip]) -> list[dict[str, np.ndarray]]:
    """Return inputs of the draw graph from pairs of frames, drawn with a fixed seed.

    Args:
        model: finds keypoints and features.
        clips: one or more.
    """
    rng = np.random.default_rng(SEED)
    feeds = []
    for index in rng.choice(len(clips), NUM_PAIRS, replace=len(clips) < NUM_PAIRS):
        frames = clips[int(index)].frames
        indices = rng.choice(len(frames), 2, replace=False)
        source_01, driving_01 = (torch.from_numpy(to_images_01([frames[int(i)]])) for i in indices)
        tensors = draw_inputs(model.read_source(source_01), model.keypoints(driving_01))
        arrays = (tensor.contiguous().numpy() for tensor in tensors)
        feeds.append(dict(zip(INPUTS["draw"], arrays, strict=True)))
    return feeds


class _Reader:
    """What the quantizer reads its inputs from."""

    def __init__(
        self,
        inputs: list[dict[str, np.ndarray]],
        progress: Progress | None,
    ) -> None:
        self.inputs, self.progress, self.next = inputs, progress, 0

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next inputs; None at the end."""
        if self.progress is not None:
            self.progress("calibrating", self.next, len(self.inputs))
        if self.next == len(self.inputs):
            return None
        self.next += 1
        return self.inputs[self.next - 1]
