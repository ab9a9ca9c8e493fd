from __future__ import annotations

import gc
import io
import itertools
import tarfile

import pytest
import torch

from fnevr.data.clips import load_clips, make_clip
from fnevr.data.manifest import read_manifest
from fnevr.data.shards import ShardPairs, read_shard_clips, write_shards
from fnevr.errors import FnevrError, MediaError
from fnevr.geometry.patches import FacePatches

webdataset = pytest.importorskip("webdataset", reason="an optional dependency")

# The library leaves files to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
]


@pytest.fixture(scope="module")
def shards(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards") / "new"
    size = (small / "clips" / "clip0.tar").stat().st_size
    write_shards(small, folder, shard_bytes=size + 1)  # two clips in each
    return folder


def urls_of(folder):
    return sorted(str(path) for path in folder.glob("train-*.tar"))


def test_shards_hold_every_clip_of_their_split(small, shards):
    assert sorted(path.name for path in shards.iterdir()) == [
        "train-00000.tar",
        "train-00001.tar",
        "val-00000.tar",
    ]
    found = {clip.name: clip for clip in read_shard_clips(urls_of(shards))}
    clips = load_clips(small, "train")
    assert set(found) == {clip.name for clip in clips}
    for clip in clips:
        same = found[clip.name]
        assert (same.identity, same.motion) == (clip.identity, clip.motion)
        assert (same.landmarks == clip.landmarks).all()
        assert (same.frames[3] == clip.frames[3]).all()


def test_writing_again_replaces_what_was_there(small, shards, tmp_path):
    write_shards(small, tmp_path, shard_bytes=1)
    assert len(list(tmp_path.iterdir())) == 4
    done = []
    write_shards(small, tmp_path, progress=lambda *now: done.append(now))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train-00000.tar", "val-00000.tar"]
    assert done == [("clips", 3, 4), ("clips", 4, 4)]


def make_pairs(shards, seed=0, **options):
    return ShardPairs(urls_of(shards), FacePatches.packaged(), 4, seed=seed, pool=2, **options)


def test_pairs_are_endless_and_reproducible(shards):
    first = list(itertools.islice(make_pairs(shards, repeats=2).raw_batches(), 6))
    again = list(itertools.islice(make_pairs(shards, repeats=2).raw_batches(), 6))
    other = list(itertools.islice(make_pairs(shards, seed=1, repeats=2).raw_batches(), 6))
    for one, two in zip(first, again, strict=True):
        assert one.images.shape == (4, 2, 3, 32, 32)
        assert torch.equal(one.images, two.images)
        assert torch.equal(one.landmarks, two.landmarks)
    assert not all(torch.equal(a.images, b.images) for a, b in zip(first, other, strict=True))


def test_clips_leave_the_pool_after_their_repeats(shards, monkeypatch):
    read: list[str] = []

    def make_and_note(row, data):
        read.append(row.name)
        return make_clip(row, data)

    monkeypatch.setattr("fnevr.data.shards.make_clip", make_and_note)
    pairs = make_pairs(shards, repeats=8).raw_batches()
    for _ in range(5):
        next(pairs)
    # Two fill the pool; 16 pairs after the first batch, at 8 per clip, ask for two more.
    assert len(read) == 4


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_make_batches(shards, workers):
    loaded = make_pairs(shards).batches(workers)
    for pairs in itertools.islice(loaded, 3):
        assert pairs.source_01.shape == (4, 3, 32, 32)
        assert 0 <= pairs.source_01.min() <= pairs.source_01.max() <= 1
    loaded.close()


def test_missing_and_foreign_shards_say_so(tmp_path, small):
    with pytest.raises(ValueError, match="no shards were given"):
        ShardPairs([], FacePatches.packaged(), 4, seed=0)
    with tarfile.open(tmp_path / "train-0.tar", "w") as tar:
        tar.add(small / "manifest.jsonl", "manifest.txt")
    with pytest.raises(MediaError, match="manifest is no clip with its row"):
        list(read_shard_clips([str(tmp_path / "train-0.tar")]))


@pytest.mark.parametrize("damage", ["no tar", "row", "clip", "gone", "folder"])
def test_damaged_shards_say_so(tmp_path, small, damage):
    path = tmp_path / "train-0.tar"
    if damage == "no tar":
        path.write_text("this is no tar file" * 100)
    elif damage == "folder":
        path.mkdir()
    elif damage != "gone":
        row = b"{" if damage == "row" else read_manifest(small)[0].model_dump_json().encode()
        parts = {"clip0.json": row, "clip0.tar": b"no clip" * 100}
        with tarfile.open(path, "w") as tar:
            for name, data in parts.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    with pytest.raises(MediaError):
        list(read_shard_clips([str(path)]))
    gc.collect()  # what the library left open


def test_missing_library_says_what_to_install(shards, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "webdataset", None)
    with pytest.raises(FnevrError, match=r"pip install .*\[train\]'"):
        next(read_shard_clips(urls_of(shards)))
