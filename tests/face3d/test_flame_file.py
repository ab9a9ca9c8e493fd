from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
from support.flame_files import FakePackages, random_arrays, write

from fnevr.errors import CheckpointError
from fnevr.face3d import HeadModel


@pytest.fixture
def arrays():
    return random_arrays(3, 400)


@pytest.fixture
def packages(monkeypatch):
    return FakePackages(monkeypatch)


def assert_same(model, arrays):
    expected = {
        "template": arrays["v_template"],
        "shape_basis": arrays["shapedirs"][..., :300],
        "expression_basis": arrays["shapedirs"][..., 300:],
        "pose_basis": arrays["posedirs"],
        "joint_regressor": arrays["J_regressor"],
        "skinning_weights": arrays["weights"],
    }
    for name, array in expected.items():
        np.testing.assert_array_equal(getattr(model, name), array.astype(np.float32))
    assert model.faces.tolist() == arrays["f"].tolist()
    assert model.parents == (-1, 0, 1, 1, 1)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_arrays_of_every_protocol(arrays, tmp_path, protocol):
    arrays["posedirs"] = np.asfortranarray(arrays["posedirs"])
    arrays["weights"] = arrays["weights"].astype(">f4")
    arrays["scale"] = np.float64(2.5)
    assert_same(HeadModel.from_file(write(tmp_path / "flame.pkl", arrays, protocol)), arrays)


@pytest.mark.parametrize("kind", ["csc", "csr"])
def test_chumpy_arrays_and_sparse_matrices_need_neither_package(arrays, packages, tmp_path, kind):
    arrays["J_regressor"][arrays["J_regressor"] < 0.02] = 0
    content = arrays | {
        "shapedirs": packages.chumpy(arrays["shapedirs"]),
        "J_regressor": packages.sparse(arrays["J_regressor"], kind),
    }
    assert_same(HeadModel.from_file(write(tmp_path / "flame.pkl", content)), arrays)


@pytest.mark.parametrize("name", ["Select", "Reshape", "transpose"])
def test_reordered_chumpy_arrays(arrays, packages, tmp_path, name):
    wanted = arrays["weights"]
    states = {
        "Select": (
            np.concatenate([[7.0], wanted.ravel()]),
            {"idxs": np.arange(1, wanted.size + 1), "preferred_shape": wanted.shape},
        ),
        "Reshape": (wanted.ravel(), {"newshape": wanted.shape}),
        "transpose": (np.ascontiguousarray(wanted.T), {"axes": None}),
    }
    inner, state = states[name]
    reordered = packages.make("chumpy.reordering", name, {"a": packages.chumpy(inner), **state})
    content = arrays | {"weights": reordered}
    assert_same(HeadModel.from_file(write(tmp_path / "flame.pkl", content)), arrays)


class Malicious:
    """Runs a command when it is unpickled in the ordinary way."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_nothing_in_the_file_is_run(arrays, tmp_path):
    path = write(tmp_path / "flame.pkl", arrays | {"extra": Malicious(tmp_path / "ran")})
    with pytest.raises(CheckpointError, match=r"(posix|nt)\.system, which no FLAME file needs"):
        HeadModel.from_file(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("made", ["builtins.eval", "numpy.load", "fnevr.cli.main"])
def test_no_other_name_is_looked_up(tmp_path, made):
    module, name = made.rsplit(".", 1)
    path = tmp_path / "flame.pkl"
    path.write_bytes(b"\x80\x02c" + f"{module}\n{name}\n".encode() + b".")
    with pytest.raises(CheckpointError, match=f"it asks for {made}"):
        HeadModel.from_file(path)


def test_a_missing_file_says_where_to_get_it(tmp_path):
    with pytest.raises(CheckpointError, match=r"no FLAME model at .*\nregister at https://flame"):
        HeadModel.from_file(tmp_path / "generic_model.pkl")


def test_a_damaged_file_says_so(arrays, tmp_path):
    path = write(tmp_path / "flame.pkl", arrays)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged, or no FLAME file"):
        HeadModel.from_file(path)


def test_other_models_say_what_is_missing(arrays, tmp_path):
    del arrays["shapedirs"]
    with pytest.raises(CheckpointError, match=r"lacks \['shapedirs'\]"):
        HeadModel.from_file(write(tmp_path / "smpl.pkl", arrays))


def test_a_list_is_no_model(tmp_path):
    path = tmp_path / "flame.pkl"
    path.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(CheckpointError, match="holds a list, wanted a dictionary"):
        HeadModel.from_file(path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("kintree_table", np.zeros((2, 24), np.int64), "24 joints, wanted 5"),
        ("v_template", np.zeros((7, 3)), r"template is \(7, 3\)"),
        ("weights", np.array(["a"], dtype=object), "wanted numbers"),
        ("f", np.array([[0, 1, 23]]), "faces name vertices 0 to 23; there are 0 to 22"),
        ("f", np.array([[0, 1, -1]]), "faces name vertices -1 to 1"),
        ("f", np.array([[0, 1, 2**64 - 1]], np.uint64), "faces name vertices -1 to 1"),
        ("f", np.array([0, 1, 2]), r"faces are \(3,\), wanted"),
        ("f", np.array([[0.5, 1, 2]]), "f is float64, wanted whole numbers"),
        ("posedirs", np.full((23, 3, 36), 1e39), "pose_basis holds infinities or NaN as float32"),
        ("v_template", np.full((23, 3), np.nan), "template holds infinities"),
        ("shapedirs", [[1.0, "a"]], "wanted numbers"),
    ],
)
@pytest.mark.usefixtures("bad_argument")
def test_arrays_of_another_model_say_so(arrays, tmp_path, name, value, message):
    path = write(tmp_path / "flame.pkl", arrays | {name: value})
    with pytest.raises(CheckpointError, match=message):
        HeadModel.from_file(path)


def sparse_of(packages, **changed):
    state = {
        "_shape": (5, 23),
        "data": np.ones(2),
        "indices": np.zeros(2, np.int32),
        "indptr": np.minimum(np.arange(24), 2),
    }
    return packages.make("scipy.sparse.csc", "csc_matrix", state | changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"indptr": np.array([0] * 23 + [10**12])},
        {"indptr": np.array([0] * 22 + [3, 2])},
        {"_shape": (10**9, 23)},
        {"_shape": (50_000, 23)},
        {"_shape": (-(10**9), 23)},
        {"_shape": (10**400, 23)},
        {"indices": np.array([0, 99])},
    ],
)
def test_sparse_matrices_that_ask_for_the_impossible(arrays, packages, tmp_path, changed):
    path = write(tmp_path / "flame.pkl", arrays | {"J_regressor": sparse_of(packages, **changed)})
    with pytest.raises(CheckpointError, match="is not a FLAME model"):
        HeadModel.from_file(path)


def test_chumpy_that_refers_to_itself(arrays, packages, tmp_path):
    loop = packages.make("chumpy.ch", "Ch", {})
    loop.__dict__["x"] = loop
    with pytest.raises(CheckpointError, match="is not a FLAME model"):
        HeadModel.from_file(write(tmp_path / "flame.pkl", arrays | {"weights": loop}))


def test_chumpy_that_holds_the_same_over_and_over(arrays, packages, tmp_path):
    nested = packages.make("chumpy.ch", "Ch", {"x": np.zeros(2)})
    make = type(packages.make("chumpy.reordering", "Select", {}))
    for _ in range(40):
        outer = make()
        outer.__dict__.update(a=nested, idxs=nested)
        nested = outer
    with pytest.raises(CheckpointError, match="reading it would not end"):
        HeadModel.from_file(write(tmp_path / "flame.pkl", arrays | {"weights": nested}))
