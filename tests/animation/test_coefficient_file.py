from __future__ import annotations

import numpy as np
import pytest

from fnevr.animation.coefficient_file import is_coefficient_file, load_coefficients
from fnevr.errors import MediaError


def rows(length):
    return np.arange(2 * length, dtype=float).reshape(2, length) / 10


@pytest.mark.parametrize(
    ("length", "wanted"),
    [
        (73, [*range(73)]),
        (260, [*range(80, 144), 224, 225, 226, 254, 255, 256, 257, 258, 259]),
        (262, [*range(80, 144), 224, 225, 226, 254, 255, 256, 259, 260, 261]),
    ],
)
@pytest.mark.parametrize("suffix", [".txt", ".npy"])
def test_what_drives_is_taken_out_of_each_row(tmp_path, length, wanted, suffix):
    path = tmp_path / f"motion{suffix}"
    np.savetxt(path, rows(length)) if suffix == ".txt" else np.save(path, rows(length))
    assert is_coefficient_file(path)
    found = load_coefficients(path)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, rows(length)[:, wanted], rtol=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((3, 70)), r"holds \(3, 70\); wanted one row of 73 or 260 or 262 numbers"),
        (np.zeros(73), "wanted one row of"),
        (np.zeros((0, 73)), "wanted one row of"),
        (np.full((1, 73), np.nan), "holds numbers that no face has"),
        (np.full((1, 73), 1e9), "holds numbers that no face has"),
        (np.zeros((1, 73), dtype=complex), "wanted one row of"),
        (np.array([{"a": 1}]), "cannot read coefficients"),
    ],
)
def test_other_arrays_say_what_is_wanted(tmp_path, content, message):
    np.save(tmp_path / "motion.npy", content, allow_pickle=True)
    with pytest.raises(MediaError, match=message):
        load_coefficients(tmp_path / "motion.npy")


def test_other_files_say_so(tmp_path):
    with pytest.raises(MediaError, match="no such file"):
        load_coefficients(tmp_path / "nothing.txt")
    (tmp_path / "words.txt").write_text("not numbers\n")
    with pytest.raises(MediaError, match="cannot read coefficients"):
        load_coefficients(tmp_path / "words.txt")
    assert not is_coefficient_file(tmp_path / "talk.mp4")


@pytest.mark.parametrize(
    "header",
    [
        "(" * 900,
        "{'descr': '<f4', 'shape'",
        "-" * 9000 + "1",
        "x\n  y",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (100000000, 73)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 73)}",
    ],
)
def test_headers_that_are_none_say_so(tmp_path, header):
    data = b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header.encode()
    (tmp_path / "motion.npy").write_bytes(data)
    with pytest.raises(MediaError, match="cannot read coefficients"):
        load_coefficients(tmp_path / "motion.npy")
