"""Exported graphs of a model: ONNX files and a manifest, in its folder.

    MODEL/graphs/float32/  manifest.json  encode.onnx  keypoints.onnx  draw.onnx  blend.onnx
                           turn.onnx
    MODEL/graphs/int8/     manifest.json  draw.onnx

`encode` and `draw` take one source; all but `encode` take any number B of frames. `blend` makes the
result of what `draw` gives, at any size; models without a composite have none, and their `draw`
gives the result alone. `turn` is the pose editor, where the model has one. A graph that a precision
lacks is taken from float32. Importing this module does not import torch.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from fnevr.config.engines import GraphPrecision, Precision
from fnevr.config.folder import EDITOR_NAME, GRAPHS_NAME, WEIGHTS_NAME, read_config
from fnevr.config.presets import ASSETS
from fnevr.config.stages import PortraitConfig
from fnevr.errors import CheckpointError
from fnevr.media.files import file_sha256

GraphName = Literal["encode", "keypoints", "draw", "blend", "turn"]
GRAPHS: tuple[GraphName, ...] = get_args(GraphName)
OPSET = 20  # the first one whose GridSample all three engines agree on
FOLDER, MANIFEST = GRAPHS_NAME, "manifest.json"
HOW_TO = "export them to a new folder by `fnevr export {model} FOLDER{options}`, and use that"

LAYERS = ("decoded_01", "mask", "flow", "person_flow", "person", "parts")
INNER_FACE = ("inner_face", "to_inner_face")
"""More layers of models that draw the inner face anew."""

INPUTS: dict[GraphName, tuple[str, ...]] = {
    "encode": ("source_01",),
    "keypoints": ("image_01",),
    "draw": (
        "source_01",
        "source_features",
        "source_positions",
        "source_jacobians",
        "driving_positions",
        "driving_jacobians",
    ),
    "blend": ("foreground", "plate_01", *LAYERS, *INNER_FACE),
    "turn": ("positions", "jacobians", "angles_deg"),
}
OUTPUTS: dict[GraphName, tuple[str, ...]] = {
    "encode": ("source_features",),
    "keypoints": ("positions", "jacobians"),
    "draw": (*LAYERS, *INNER_FACE),
    "blend": ("drawn_01",),
    "turn": ("turned_positions", "turned_jacobians"),
}
RANKS: dict[GraphName, tuple[tuple[int, ...], ...]] = {
    "encode": ((4,),),
    "keypoints": ((3, 4),),
    "draw": ((4,), (4,) * len(LAYERS), (4,) * len(LAYERS) + (4, 3)),
    "blend": ((4,),),
    "turn": ((3, 4),),
}
"""How many axes the outputs have. `draw` of models without a composite has one output, of models
that do not draw the inner face anew it has the first `LAYERS`."""


class Manifest(BaseModel):
    """What a folder of graphs was made from, and its files."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    format: Literal["fnevr-graphs-5"] = "fnevr-graphs-5"
    """Of this folder: names of files, inputs and outputs."""

    architecture: str
    """Of the model."""

    image_size: int
    """Height and width of all images, in pixels."""

    precision: GraphPrecision
    """Of the convolutions."""

    weights_sha256: str
    """Of the `model.safetensors` that the graphs were made from."""

    editor_sha256: str | None = None
    """Of the pose editor that `turn` was made from; None without one."""

    opset: int
    """Version of ONNX's operators."""

    versions: dict[str, str]
    """Of what made the graphs."""

    psnr_db: float | None = None
    """Of the pictures from those of float32, on clips that were held out; None for float32."""

    files: dict[GraphName, str]
    """The sha256 of each graph's file."""


def graphs_folder(model_folder: Path, precision: Precision) -> Path:
    """Return where a model's graphs of one precision lie, if there are any."""
    return model_folder / FOLDER / precision


def has_graphs(model_folder: Path, precision: Precision) -> bool:
    """Return whether a model folder brings graphs of a precision."""
    return (graphs_folder(model_folder, precision) / MANIFEST).is_file()


def measured_psnr_db(model_folder: Path, precision: GraphPrecision) -> float | None:
    """Return how far a precision's pictures are from those of float32, where it was measured."""
    path = graphs_folder(model_folder, precision) / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes()).psnr_db
    except (OSError, ValidationError):
        return None  # what is wrong with it is said when the graphs are read


def read_graphs(
    model_folder: Path, precision: Precision, model_name: str
) -> dict[GraphName, bytes]:
    """Read all graphs of a model, after checking that they are whole and of its weights.

    Args:
        model_folder: the model.
        precision: which graphs.
        model_name: for messages.

    Raises:
        CheckpointError: if there are none, or they are damaged or of other weights.
    """
    config = read_config(model_folder)
    sha256 = file_sha256(model_folder / WEIGHTS_NAME)
    editor = model_folder / EDITOR_NAME
    editor_sha256 = file_sha256(editor) if editor.is_file() else None
    graphs = _read_folder(model_folder, (sha256, editor_sha256), config, "float32", model_name)
    if precision != "float32":
        graphs |= _read_folder(model_folder, (sha256, None), config, precision, model_name)
    return graphs


def _read_folder(
    model_folder: Path,
    sha256: tuple[str, str | None],
    config: PortraitConfig,
    precision: Precision,
    model_name: str,
) -> dict[GraphName, bytes]:
    folder = graphs_folder(model_folder, precision)
    options = "" if precision == "float32" else f" --precision {precision} --calibration CLIPS"
    how_to = HOW_TO.format(model=model_name, options=options)
    if model_folder.is_relative_to(ASSETS):
        how_to = "install fnevr again"
    if not (folder / MANIFEST).is_file():
        raise CheckpointError(
            f"the model '{model_name}' has no graphs of precision {precision}\n{how_to}"
        )
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
        contents = {name: (folder / f"{name}.onnx").read_bytes() for name in manifest.files}
    except (OSError, ValidationError) as error:
        raise CheckpointError(f"the graphs in '{folder}' are damaged: {error}\n{how_to}") from error
    if (manifest.weights_sha256, manifest.editor_sha256) != sha256:
        raise CheckpointError(
            f"the graphs in '{folder}' are not of the weights beside them; {how_to}"
        )
    wanted = (config.architecture, config.image_size, precision)
    if (manifest.architecture, manifest.image_size, manifest.precision) != wanted:
        raise CheckpointError(
            f"the graphs in '{folder}' are {manifest.precision} of a {manifest.architecture} for "
            f"{manifest.image_size} pixels, wanted {precision} of a {config.architecture} for "
            f"{config.image_size}\n{how_to}"
        )
    if manifest.opset > OPSET:
        raise CheckpointError(
            f"the graphs in '{folder}' are of opset {manifest.opset}, at most {OPSET} is known "
            f"here: install a newer fnevr, or\n{how_to}"
        )
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != manifest.files[name]:
            raise CheckpointError(f"'{folder / name}.onnx' is damaged (wrong sha256)\n{how_to}")
    return contents
