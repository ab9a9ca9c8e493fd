"""Many clips in few large files, for object stores: written once, read from front to back.

A shard is a tar that the WebDataset library reads: for each clip ``NAME.json``, its row of the
manifest, and ``NAME.tar``, the clip as `fnevr.data.store` has it. A reader needs no random access:
it takes clips as they come, keeps some of them at hand, and draws pairs from those.
"""

from __future__ import annotations

import io
import itertools
import tarfile
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch.utils.data
from pydantic import ValidationError
from torch import Tensor

from fnevr.data.clips import Clip, make_clip
from fnevr.data.loader import use_one_thread
from fnevr.data.manifest import ClipRow, clip_path, read_manifest
from fnevr.data.pairs import Pairs, RawPairs, draw_pair
from fnevr.errors import FnevrError, MediaError
from fnevr.extras import how_to_install
from fnevr.geometry.patches import FacePatches
from fnevr.media.files import atomic_path, make_folder, writing
from fnevr.progress import Progress

SHARD_BYTES = 256 * 2**20


def write_shards(
    folder: Path,
    out: Path,
    *,
    shard_bytes: int = SHARD_BYTES,
    progress: Progress = lambda *_: None,
) -> list[Path]:
    """Pack the clips of a prepared folder, mixed, into ``SPLIT-00000.tar`` and so on.

    Args:
        folder: the prepared folder.
        out: made if it does not exist; shards of an earlier run are replaced.
        shard_bytes: a shard is closed when it is this large.
        progress: called with the stage, the clips done and their number.

    Returns:
        The shards.

    Raises:
        MediaError: if a clip is missing, or the folder cannot be written.
    """
    rows = read_manifest(folder)
    make_folder(out)
    with writing(out):
        for old in [*out.glob("train-*.tar"), *out.glob("val-*.tar")]:
            old.unlink()
    # In the order of the videos, a person's clips would come one after the other.
    order = np.random.default_rng(0).permutation(len(rows))
    shards: list[Path] = []
    num_done = 0
    for split in ("train", "val"):
        split_rows = [rows[index] for index in order if rows[index].split == split]
        for number, part in enumerate(_parts(folder, split_rows, shard_bytes)):
            shards.append(out / f"{split}-{number:05d}.tar")
            with atomic_path(shards[-1]) as temporary, tarfile.open(temporary, "w") as tar:
                for row in part:
                    _add(tar, f"{row.name}.json", row.model_dump_json().encode())
                    _add(tar, f"{row.name}.tar", clip_path(folder, row.name).read_bytes())
            num_done += len(part)
            progress("clips", num_done, len(rows))
    return shards


class ShardPairs:
    """Pairs from shards, without end: the counterpart of `PairSampler` where files are far away.

    A pool of clips is kept in memory. Each pair is of a clip drawn from the pool, all alike; for
    every `repeats` pairs one clip leaves the pool and the next one of the shards takes its place.
    With several workers, each reads shards of its own; the order is reproducible for a
    given number of them. A resumed run starts anew with another seed.
    """

    def __init__(
        self,
        urls: Sequence[str],
        patches: FacePatches,
        batch_size: int,
        *,
        seed: int,
        pool: int = 64,
        repeats: int = 50,
    ) -> None:
        """Remember what to read; nothing is opened yet.

        Args:
            urls: the shards: paths, or whatever WebDataset opens, "pipe:..." among it.
            patches: know the landmarks' mirror images.
            batch_size: pairs in a batch.
            seed: decides over everything that is drawn.
            pool: clips in memory, about 5 MB each.
            repeats: pairs drawn per clip that is read.
        """
        if not urls:
            raise ValueError("no shards were given")
        self.urls = list(urls)
        self.patches = patches
        self.batch_size = batch_size
        self.seed = seed
        self.pool = pool
        self.repeats = repeats

    def batches(self, workers: int) -> Generator[Pairs, None, None]:
        """Yield batches made by worker processes, without end; 0 makes them here."""
        loader = torch.utils.data.DataLoader(
            _Stream(self), batch_size=None, num_workers=workers, worker_init_fn=use_one_thread
        )
        for raw in loader:
            yield raw.finish()

    def raw_batches(self, worker: int = 0, num_workers: int = 1) -> Iterator[RawPairs]:
        """Yield the batches of one of several workers, not made float yet."""
        rng = np.random.default_rng((self.seed, worker))
        urls = self.urls[worker::num_workers] or self.urls
        clips = _endless(urls, rng)
        pool = [next(clips) for _ in range(self.pool)]
        face_frames = [clip.tracked for clip in pool]

        def draw() -> tuple[Tensor, Tensor]:
            place = int(rng.integers(len(pool)))
            return draw_pair(pool[place], face_frames[place], self.patches, rng)

        for number in itertools.count(1):
            yield RawPairs.gather((draw() for _ in range(self.batch_size)), self.batch_size)
            num_due = number * self.batch_size // self.repeats
            num_due -= (number - 1) * self.batch_size // self.repeats
            for place in rng.integers(len(pool), size=num_due):
                pool[place] = next(clips)
                face_frames[place] = pool[place].tracked


def read_shard_clips(urls: Sequence[str]) -> Iterator[Clip]:
    """Yield the clips of shards once, in their order.

    Raises:
        FnevrError: if the library that reads them is not installed, or a clip is damaged.
    """
    try:
        import webdataset  # noqa: PLC0415 (an optional dependency)
    except ImportError as error:
        raise FnevrError(
            f"reading shards needs the package webdataset\ninstall it: {how_to_install('train')}"
        ) from error
    samples = webdataset.WebDataset(
        list(urls), shardshuffle=False, nodesplitter=None, workersplitter=None, empty_check=False
    )
    remaining = iter(samples)
    while True:
        try:
            sample = next(remaining, None)
        except (OSError, ValueError, EOFError, tarfile.TarError) as error:
            raise MediaError(f"a shard cannot be read: {error}\nwrite the shards again") from error
        if sample is None:
            return
        if "json" not in sample or "tar" not in sample:
            raise MediaError(f"{sample['__url__']}: {sample['__key__']} is no clip with its row")
        try:
            row = ClipRow.model_validate_json(sample["json"])
        except ValidationError as error:
            first = error.errors()[0]
            raise MediaError(
                f"{sample['__url__']}: the row of {sample['__key__']} is damaged: "
                f"{'.'.join(map(str, first['loc']))}: {first['msg']}\nwrite the shards again"
            ) from error
        yield make_clip(row, sample["tar"])


class _Stream(torch.utils.data.IterableDataset[Any]):
    """The batches of the worker that it runs in."""

    def __init__(self, pairs: ShardPairs) -> None:
        self.pairs = pairs

    def __iter__(self) -> Iterator[RawPairs]:
        worker = torch.utils.data.get_worker_info()
        return self.pairs.raw_batches(*(worker.id, worker.num_workers) if worker else (0, 1))


def _endless(urls: list[str], rng: np.random.Generator) -> Iterator[Clip]:
    """Read the shards again and again, each time in another order; clips without pairs are left."""
    while True:
        has_pairs = False
        for clip in read_shard_clips([urls[index] for index in rng.permutation(len(urls))]):
            if clip.has_pair:
                has_pairs = True
                yield clip
        if not has_pairs:
            raise FnevrError("the shards hold no clip with a face in two frames or more")


def _parts(folder: Path, rows: list[ClipRow], shard_bytes: int) -> Iterator[list[ClipRow]]:
    """Divide clips into shards by the size of their files."""
    part: list[ClipRow] = []
    size = 0
    for row in rows:
        part.append(row)
        size += clip_path(folder, row.name).stat().st_size
        if size >= shard_bytes:
            yield part
            part, size = [], 0
    if part:
        yield part


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
