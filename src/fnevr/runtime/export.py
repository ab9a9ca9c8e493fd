"""Write a model's graphs: ONNX files that ONNX Runtime, OpenVINO and TensorRT run.

Only standard operators. Whatever does not depend on the input (grids, folded kernels) becomes a
constant of the graph.

Shapes: B driving frames, K keypoints, H and W pixels.
"""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fnevr.config.engines import GRAPH_PRECISIONS, GraphPrecision, Precision
from fnevr.config.folder import EDITOR_NAME, WEIGHTS_NAME
from fnevr.errors import FnevrError
from fnevr.extras import how_to_install
from fnevr.geometry.keypoints import Keypoints
from fnevr.media.files import file_sha256, partial_folder
from fnevr.models.architectures import load_model
from fnevr.models.encoded_source import DECODED, INNER_FACE, MASK, Detail, EncodedSource
from fnevr.models.portrait import KeypointModel
from fnevr.models.pose_editor import LightweightPoseEditor
from fnevr.progress import Progress
from fnevr.runtime.folding import fold
from fnevr.runtime.graph_engine import draw_inputs
from fnevr.runtime.graphs import (
    FOLDER,
    GRAPHS,
    INPUTS,
    MANIFEST,
    OPSET,
    OUTPUTS,
    GraphName,
    Manifest,
    graphs_folder,
)
from fnevr.runtime.quantize import Calibration, quantize, quantized_psnr
from fnevr.versions import versions

BATCH = torch.export.Dim("batch", min=1, max=1024)


class EncodeGraph(nn.Module):
    """`encode` of a model."""

    def __init__(self, model: KeypointModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, source_01: Tensor) -> Tensor:
        """Return the features."""
        return self.model.encode(source_01)


class KeypointGraph(nn.Module):
    """`keypoints` of a model, with tensors alone."""

    def __init__(self, model: KeypointModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image_01: Tensor) -> tuple[Tensor, Tensor]:
        """Return positions and Jacobians."""
        keypoints = self.model.keypoints(image_01)
        return keypoints.positions, keypoints.jacobians


class DrawGraph(nn.Module):
    """`draw_layers` of a model, with tensors alone."""

    def __init__(self, model: KeypointModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        source_01: Tensor,
        source_features: Tensor,
        source_positions: Tensor,
        source_jacobians: Tensor,
        driving_positions: Tensor,
        driving_jacobians: Tensor,
    ) -> tuple[Tensor, ...]:
        """Return the layers, or the result of models without."""
        source_keypoints = Keypoints(source_positions, source_jacobians)
        source = EncodedSource(source_01, source_keypoints, source_features)
        return self.model.draw_layers(source, Keypoints(driving_positions, driving_jacobians))


class BlendGraph(nn.Module):
    """`blend_layers` of a model."""

    def __init__(self, model: KeypointModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, foreground: Tensor, plate_01: Tensor, *layers: Tensor) -> Tensor:
        """Return the result."""
        return self.model.blend_layers(Detail(foreground, plate_01), *layers)


class TurnGraph(nn.Module):
    """`turned` of a pose editor, with tensors alone."""

    def __init__(self, editor: LightweightPoseEditor) -> None:
        super().__init__()
        self.editor = editor

    def forward(
        self, positions: Tensor, jacobians: Tensor, angles_deg: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return positions and Jacobians of the turned heads."""
        turned = self.editor.turned(Keypoints(positions, jacobians), angles_deg)
        return turned.positions, turned.jacobians


def export(
    model_folder: Path,
    out: Path,
    precision: Precision = "float32",
    calibration: Path | None = None,
    progress: Progress | None = None,
) -> list[Manifest]:
    """Copy a model folder and give the copy graphs of its weights, for the graph engines.

    Args:
        model_folder: the model.
        out: the new folder; it appears when it is complete.
        precision: "float32"; "int8" also writes a `draw` graph with eight-bit convolutions.
        calibration: for int8: a prepared folder. The ranges of values come from its training clips,
            and the result is measured on its validation clips.
        progress: is called as work is done.

    Returns:
        What was written, by precision.

    Raises:
        FnevrError: if the model cannot be exported, the tools are missing, or a folder is in the
            way.
    """
    if precision not in GRAPH_PRECISIONS:
        raise FnevrError(
            f"graphs have no precision {precision}: wanted {' or '.join(GRAPH_PRECISIONS)}",
            argument="precision",
        )
    if (precision == "int8") != (calibration is not None):
        raise FnevrError("`precision='int8'` and `calibration=CLIPS` go together")
    if out.exists():
        raise FnevrError(f"'{out}' exists already: remove it, or name another folder")
    clips = None if calibration is None else Calibration.load(calibration)
    model = load_model(model_folder)
    if model.config.why_no_graphs or not isinstance(model, KeypointModel):
        raise FnevrError(
            f"'{model.architecture}' cannot be exported: {model.config.why_no_graphs}; use it with "
            "`engine='torch'`"
        )
    with partial_folder(out) as partial:
        left_out = shutil.ignore_patterns(FOLDER, "*.md")
        shutil.copytree(model_folder, partial, ignore=left_out, dirs_exist_ok=True)
        manifests = write_graphs(model, partial, clips, progress)
        partial.replace(out)
    return manifests


def write_graphs(
    model: KeypointModel,
    folder: Path,
    calibration: Calibration | None = None,
    progress: Progress | None = None,
    finish: Callable[[Path], None] | None = None,
) -> list[Manifest]:
    """Write graphs into the folder of a model, int8 too where there are clips to calibrate on.

    Args:
        model: what the folder holds.
        folder: gets `graphs/`, which it must not have.
        calibration: for int8; None leaves it out.
        progress: see `export`.
        finish: is called last, with every graph's file.

    Raises:
        FnevrError: see `export`.
    """
    psnr_db: float | None = None
    precise = graphs_folder(folder, "float32")
    precise.mkdir(parents=True)
    exact = fold(model, winograd=True)
    has_editor = (folder / EDITOR_NAME).is_file()
    editor = LightweightPoseEditor.from_pretrained(folder) if has_editor else None
    is_there = {"turn": has_editor, "blend": model.config.uses_detail}
    names = [name for name in GRAPHS if is_there.get(name, True)]
    for index, name in enumerate(names):
        if progress is not None:
            progress(f"exporting {name}", index, len(names))
        export_graph(exact, name, precise / f"{name}.onnx", editor)
    if calibration is not None:
        rough = graphs_folder(folder, "int8")
        rough.mkdir()
        export_graph(fold(model), "draw", rough / "draw.onnx")
        quantize(model, rough / "draw.onnx", calibration.clips, progress)
        psnr_db = quantized_psnr(model, rough / "draw.onnx", calibration.held_out)
    for path in folder.glob(f"{FOLDER}/*/*.onnx"):
        _strip(path)
        if finish is not None:
            finish(path)
    manifests = [_describe(model, folder, "float32", None)]
    if psnr_db is not None:
        manifests.append(_describe(model, folder, "int8", psnr_db))
    return manifests


def _strip(path: Path) -> None:
    """Remove what the exporter notes for people: where each node comes from, in whose files."""
    import onnx  # noqa: PLC0415 (optional; it was there for the export)

    model = onnx.load(path)
    graph = model.graph
    values = (*graph.input, *graph.output, *graph.initializer, *graph.value_info)
    for part in (model, graph, *graph.node, *values):
        del part.metadata_props[:]
    for node in graph.node:
        node.ClearField("doc_string")
    onnx.save(model, path)


def _describe(
    model: KeypointModel, folder: Path, precision: GraphPrecision, psnr_db: float | None
) -> Manifest:
    """Write the manifest of graphs that are there."""
    graphs = graphs_folder(folder, precision)
    files = [name for name in GRAPHS if (graphs / f"{name}.onnx").is_file()]
    manifest = Manifest(
        architecture=model.architecture,
        image_size=model.config.image_size,
        precision=precision,
        weights_sha256=file_sha256(folder / WEIGHTS_NAME),
        editor_sha256=file_sha256(folder / EDITOR_NAME) if "turn" in files else None,
        opset=OPSET,
        versions=versions(),
        psnr_db=psnr_db,
        files={name: file_sha256(graphs / f"{name}.onnx") for name in files},
    )
    text = manifest.model_dump_json(indent=2) + "\n"
    (graphs / MANIFEST).write_text(text, encoding="utf-8")
    return manifest


@torch.no_grad()
def export_graph(
    folded: KeypointModel,
    name: GraphName,
    path: Path,
    editor: LightweightPoseEditor | None = None,
) -> None:
    """Write one graph of a folded model.

    Args:
        folded: the model.
        name: which graph.
        path: the file.
        editor: the model's pose editor; `turn` needs it.

    Raises:
        FnevrError: if PyTorch's exporter lacks its tools.
    """
    module, arguments, dynamic = _arguments(folded, name, editor)
    module.eval()
    outputs = OUTPUTS[name]
    if name == "draw" and folded.config.uses_detail:
        outputs = outputs[: len(module(*arguments))]
    elif name == "draw":
        outputs = OUTPUTS["blend"]
    try:
        import onnx  # noqa: F401, PLC0415 (optional)
        import onnxscript  # noqa: F401, PLC0415 (optional)
    except ImportError as error:
        raise FnevrError(
            f"exporting needs ONNX and onnxscript: {how_to_install('onnx')}"
        ) from error
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
        program = torch.onnx.export(
            module,
            arguments,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(INPUTS[name][: len(arguments)]),
            output_names=list(outputs),
            dynamic_shapes=dynamic,
            optimize=False,  # engines do so themselves, as well and in less time
            verbose=False,
        )
    assert program is not None
    program.save(str(path), external_data=False)


def _arguments(
    model: KeypointModel, name: GraphName, editor: LightweightPoseEditor | None
) -> tuple[nn.Module, tuple[Tensor, ...], tuple[Any, ...]]:
    """Return a graph's module, examples of its inputs, and which of their axes vary.

    The axes of `*layers` are a tuple of their own.
    """
    size = model.config.image_size
    source_01, driving_01 = torch.rand(1, 3, size, size), torch.rand(2, 3, size, size)
    rows = {0: BATCH}
    if name == "encode":
        return EncodeGraph(model), (source_01,), (None,)
    driving = model.keypoints(driving_01)
    if name == "keypoints":
        return KeypointGraph(model), (driving_01,), (rows,)
    if name == "turn":
        assert editor is not None
        arguments = (driving.positions, driving.jacobians, torch.rand(2, 3))
        return TurnGraph(editor), arguments, (rows, rows, rows)
    source = model.read_source(source_01)
    if name == "blend":
        foreground, plate_01 = (
            torch.rand(1, 4, 3 * size, 3 * size),
            torch.rand(1, 3, size + 1, size),
        )
        layers = model.draw_layers(source, driving)
        pixels, cells = rows | sides("picture"), rows | sides("motion")
        of_layers = [pixels if index in (DECODED, MASK) else cells for index in range(INNER_FACE)]
        of_layers += [rows] * (len(layers) - INNER_FACE)
        axes = (sides("foreground"), sides("plate"), tuple(of_layers))
        return BlendGraph(model), (foreground, plate_01, *layers), axes
    arguments = draw_inputs(source, driving)
    return DrawGraph(model), arguments, (None, None, None, None, rows, rows)


def sides(name: str) -> dict[int, torch.export.Dim]:
    """Return height and width of a picture of any size."""
    return {
        axis: torch.export.Dim(f"{name}_{side}", min=16, max=8192)
        for axis, side in ((2, "height"), (3, "width"))
    }
