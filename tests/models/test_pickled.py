"""Small pickles that ask for much work, against the readers of checkpoints and of FLAME's files."""

from __future__ import annotations

import io
import pickle
import time
import zipfile
from collections import Counter, OrderedDict, defaultdict

import numpy as np
import pytest
import torch

from fnevr.errors import CheckpointError
from fnevr.face3d import HeadModel
from fnevr.models.checkpoint_file import read_checkpoint
from fnevr.models.pickled import check_pickle

LEVELS = 40  # 2 ** 40 leaves


def doubled_opcodes():
    """A tuple that holds the one before twice: EMPTY_TUPLE, then BINPUT, BINGET, TUPLE2."""
    return b")" + b"".join(bytes([0x71, i, 0x68, i, 0x86]) for i in range(LEVELS))


LONG_KEYS = b"".join(
    b"\x8a\x0b" + (n * (2**61 - 1) + 2**80).to_bytes(11, "little") + b"K\x00"
    for n in range(1, 2000)
)
LISTS = b"".join(b"]" + bytes([0x71, i]) + b"0" for i in range(LEVELS)) + b"".join(
    bytes([0x68, i, 0x68, i - 1, 0x61, 0x68, i - 1, 0x61, 0x30]) for i in range(LEVELS - 1, 0, -1)
)
PUNYCODE = b"X\x01\x00\x00\x00aX\x08\x00\x00\x00punycode\x86"
ENDLESS = "reading it would not end"
HOSTILE = {
    "a key": (b"}" + doubled_opcodes() + b"K\x01s.", ENDLESS),
    "keys": (b"}(" + doubled_opcodes() + b"K\x01K\x02K\x03u.", ENDLESS),
    "a key that is popped": (b"}}" + doubled_opcodes() + b"K\x01s0.", ENDLESS),
    "by DUP": (b"})" + b"2\x86" * LEVELS + b"K\x01s.", ENDLESS),
    "an element": (b"cbuiltins\nset\n]" + doubled_opcodes() + b"a\x85R.", ENDLESS),
    "a pair": (
        b"ccollections\nOrderedDict\n]" + doubled_opcodes() + b"K\x01\x86a\x85R.",
        ENDLESS,
    ),
    "counted": (b"ccollections\nCounter\n]" + doubled_opcodes() + b"a\x85R.", ENDLESS),
    "called, and told in an error": (doubled_opcodes() + b")R.", ENDLESS),
    "lists that are filled later": (LISTS + bytes([0x68, LEVELS - 1]) + b")R.", ENDLESS),
    "a memo of gigabytes": (b"}r\xff\xff\xff\x7f.", "memo is 2147483647"),
    "a slow encoding": (b"c_codecs\nencode\n" + PUNYCODE + b"R.", "another encoding than latin1"),
    "colliding numbers": (b"}(" + LONG_KEYS + b"u.", "too many numbers of more than 64 bits"),
}


def as_zip(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + content)
        archive.writestr("archive/version", "3")


def as_legacy(path, content):
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
    rest = pickle.dumps({"little_endian": True}, 2)
    path.write_bytes(magic + rest + b"\x80\x02" + content + pickle.dumps([], 2))


def as_flame(path, content):
    path.write_bytes(b"\x80\x02" + content)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("write", [as_zip, as_legacy, as_flame])
def test_a_small_file_takes_little_time(tmp_path, name, write):
    path = tmp_path / "small.pkl"
    content, message = HOSTILE[name]
    write(path, content)
    read = HeadModel.from_file if write is as_flame else read_checkpoint
    start_s = time.perf_counter()
    with pytest.raises(CheckpointError, match=message):
        read(path)
    assert time.perf_counter() - start_s < 5


@pytest.mark.slow
def test_the_largest_small_file_that_passes_takes_seconds(tmp_path):
    """Half a megabyte of keys that are as large as they may be."""
    key = b")" + b"".join(bytes([0x71, i, 0x68, i, 0x86]) for i in range(4))
    content = b"}" + key + b"q\x09K\x00s" + b"h\x09K\x00s" * 100_000 + b"."
    as_zip(tmp_path / "full.pth", content)
    start_s = time.perf_counter()
    read_checkpoint(tmp_path / "full.pth")
    assert time.perf_counter() - start_s < 20


def test_a_zip_bomb_is_refused(tmp_path):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + b"N0" * 10**7 + b"}.")
    with pytest.raises(CheckpointError, match="compressed"):
        read_checkpoint(path)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "content",
    [
        {"a": [1, 2.5, None, True, "text", b"bytes", 2**70], (1, 2): {3: {4, 5}}},
        [OrderedDict(a=1), Counter("aab"), defaultdict(list, a=[1]), frozenset({1})],
        {"numpy": np.arange(5), "scalar": np.float64(2), "shared": [np.zeros(3)] * 50},
        [[[[[[]]]]]] * 20,
        ["long" * 1000] * 1000,
    ],
)
def test_honest_pickles_pass(protocol, content):
    file = io.BytesIO(pickle.dumps(content, protocol) + b"rest")
    check_pickle(file)
    assert file.read() == b"rest"


def test_what_holds_itself_can_be_weighed():
    loop: list[object] = []
    loop += [loop, {"loop": loop}]
    check_pickle(io.BytesIO(pickle.dumps(loop)))


@pytest.mark.parametrize(
    "content", [b"", b"q", b"(", b"\x86.", b"h\x05.", b"0", b"K\x01(a.", b"\x82\x01."]
)
def test_damaged_pickles_say_so(content):
    with pytest.raises(pickle.UnpicklingError):
        check_pickle(io.BytesIO(content))


def test_weights_of_any_size_pass(tmp_path):
    state = {f"layer{n}.weight": torch.zeros(3, 3) for n in range(3000)}
    state["shared"] = state["layer0.weight"]
    torch.save({"generator": state, "again": state}, tmp_path / "a.pth")
    assert len(read_checkpoint(tmp_path / "a.pth")["generator"]) == 3001
