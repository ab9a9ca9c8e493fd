"""Make the graphs that ship with `lite`, after its weights have changed.

    python scripts/assets/package_graphs.py PREPARED

PREPARED is a prepared folder: int8 is calibrated on its training clips and measured on the others.
Constants of some size are stored as float16, which halves the files; engines take them back to
float32 when they load.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import onnx
import typer
from onnx import helper, numpy_helper

from fnevr.config.presets import resolve_model
from fnevr.models import load_model
from fnevr.runtime.export import write_graphs
from fnevr.runtime.graphs import FOLDER
from fnevr.runtime.quantize import Calibration

LEAST_SIZE = 1024

app = typer.Typer(add_completion=False)


@app.command()
def main(
    prepared: Annotated[Path, typer.Argument(help="A prepared folder.")],
    model: Annotated[str, typer.Option(help="A preset or folder; gets the graphs.")] = "lite",
) -> None:
    """Replace the graphs in the model's folder."""
    folder = resolve_model(model)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".graphs-") as temporary:
        made = Path(temporary) / "model"
        shutil.copytree(folder, made, ignore=shutil.ignore_patterns(FOLDER))
        calibration = Calibration.load(prepared)
        manifests = write_graphs(load_model(folder), made, calibration, finish=halve)
        shutil.rmtree(folder / FOLDER, ignore_errors=True)
        (made / FOLDER).replace(folder / FOLDER)
    for manifest in manifests:
        typer.echo(manifest.model_dump_json(indent=2))


def halve(path: Path) -> None:
    """Store the large float32 constants of a graph as float16, each behind a cast."""
    graph = onnx.load(path)
    casts = []
    for initializer in graph.graph.initializer:
        is_float = initializer.data_type == onnx.TensorProto.FLOAT
        if not is_float or np.prod(initializer.dims) < LEAST_SIZE:
            continue
        name, values = initializer.name, numpy_helper.to_array(initializer)
        half = values.astype(np.float16)
        assert np.isfinite(half).all(), f"{name} does not fit float16"
        initializer.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    onnx.checker.check_model(graph)
    onnx.save(graph, path)


if __name__ == "__main__":
    app()
