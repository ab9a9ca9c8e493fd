"""Graphs of the paper's network: no pose editor, no eight bits. Another file's, so another process.

Exporting takes most of the time of these tests, and files are shared out among processes.
"""

from __future__ import annotations

import pytest
from support.exported import check_operators, largest_difference, unchecked

from fnevr.errors import FnevrError
from fnevr.runtime.export import export
from fnevr.runtime.load import load_engine
from fnevr.runtime.sessions import choose


@pytest.fixture(scope="module")
def exported(tmp_path_factory, exportable_models):
    """A small model with its graphs."""
    root = tmp_path_factory.mktemp("exported")
    exportable_models["fnevr"].save_pretrained(root / "plain")
    with unchecked():
        export(root / "plain", root / "fnevr")
    return root / "fnevr"


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_graphs_give_the_frames_of_torch(exported, engine, record_property):
    levels = largest_difference(exported, engine)
    record_property(f"{engine}: levels of 255 that base is apart from torch", levels)
    assert levels < 0.05
    assert load_engine(exported, engine=engine).turn is None


def test_graphs_hold_standard_operators_alone(exported):
    check_operators(exported)


def test_auto_takes_the_graphs_in_the_precision_that_there_is(exported):
    assert choose(exported, "cpu", "auto", "auto") == ("openvino", "float32")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"engine": "onnx", "precision": "int8"}, "no graphs of precision int8"),
        ({"engine": "tensorrt"}, "needs `device='cuda'`"),
        ({"engine": "onnx", "precision": "float16"}, "float16 needs `engine='torch'` or"),
        ({"engine": "torch", "precision": "int8"}, "int8 needs `engine='onnx'` or"),
    ],
)
def test_what_an_engine_cannot_do_says_so(exported, options, words):
    with pytest.raises(FnevrError, match=words):
        load_engine(exported, **options)
