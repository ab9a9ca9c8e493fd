"""One prepared clip in one file: JPEG frames and landmarks in an uncompressed tar.

Members, in this order: ``landmarks.npy`` (T, 478, 2) float32, in [-1, 1] from edge to edge of the
picture, NaN where no face was found; then ``000000.jpg`` and so on. Any frame is read by itself:
where it lies is found from the headers, when the first one is asked for. A frame of 256x256 takes
about 20 kB, a tenth of what it takes uncompressed.

Shapes: T frames, H and W pixels, N landmarks.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from fnevr.errors import MediaError
from fnevr.media.bounds import num_scans
from fnevr.media.files import ARRAY_DAMAGE, atomic_path
from fnevr.media.image import DAMAGE

LANDMARKS = "landmarks.npy"
NUM_LANDMARKS = 478
FARTHEST = 1000.0  # of a landmark, in [-1, 1] units
MAX_SIDE = 8192  # of a frame, in pixels
QUALITY = 95
"""JPEG, chroma at half resolution: 46 dB to the decoded video, 2.9 times smaller than at 4:4:4."""


class StoredFrames:
    """The frames of a stored clip, decoded one at a time; a process or a thread may share it."""

    def __init__(self, source: Path | bytes, num_frames: int) -> None:
        """Remember where the clip is; nothing is read yet.

        Args:
            source: its file, or the file's contents.
            num_frames: as many as the clip has landmarks.
        """
        self.source = source
        self.num_frames = num_frames
        self.places: list[tuple[int, int]] | None = None

    def __len__(self) -> int:
        return self.num_frames

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        return (self[index] for index in range(self.num_frames))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Frames, height, width and 3, as an array's."""
        return (self.num_frames, *self[0].shape)

    def __getitem__(
        self, index: int | np.integer | slice | Sequence[int] | np.ndarray
    ) -> np.ndarray:
        """Decode a frame, uint8 (H, W, 3), or several as an array indexes them, (F, H, W, 3)."""
        if isinstance(index, int | np.integer):
            return self.decode(int(index))
        frames = [self.decode(int(i)) for i in np.arange(self.num_frames)[index]]
        if len({frame.shape for frame in frames}) > 1:
            raise MediaError(f"{self._name}: its frames differ in size; prepare it again")
        return np.stack(frames)

    def decode(self, index: int) -> UInt8[np.ndarray, "H W 3"]:
        """Decode one frame."""
        if not -self.num_frames <= index < self.num_frames:
            raise IndexError(f"frame {index} of {self.num_frames}")
        try:
            jpeg = self.jpeg(index)
            if num_scans(jpeg) > 1:
                raise ValueError("it has several scans, as stored frames never have")
            with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
                if max(image.size) > MAX_SIDE:
                    raise ValueError(f"it has {image.width} x {image.height} pixels")
                return np.array(image if image.mode == "RGB" else image.convert("RGB"))
        except (*DAMAGE, Image.DecompressionBombError) as error:
            raise MediaError(f"{self._name}: frame {index} is damaged: {error}") from error

    def jpeg(self, index: int) -> bytes:
        """Return a frame as it is stored."""
        if not -self.num_frames <= index < self.num_frames:
            raise IndexError(f"frame {index} of {self.num_frames}")
        if self.places is None:
            self.places = self._find_frames()
        offset, size = self.places[index]
        if isinstance(self.source, bytes):
            return self.source[offset : offset + size]
        with self.source.open("rb", buffering=0) as file:
            file.seek(offset)
            return file.read(size)

    @property
    def _name(self) -> str:
        return "a clip of a shard" if isinstance(self.source, bytes) else f"'{self.source}'"

    def _find_frames(self) -> list[tuple[int, int]]:
        """Read the headers: offset and size of every frame."""
        try:
            with _open_tar(self.source) as tar:
                members = [member for member in tar if member.name.endswith(".jpg")]
        except (tarfile.TarError, OSError) as error:
            raise MediaError(f"{self._name} is damaged: {error}; prepare it again") from error
        if len(members) != self.num_frames:
            raise MediaError(
                f"{self._name} holds {len(members)} frames and the landmarks of "
                f"{self.num_frames}: it was changed; prepare it again"
            )
        return [(member.offset_data, member.size) for member in members]


def encode_frame(rgb: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """Compress a frame as clips hold it."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=QUALITY, subsampling="4:2:0")
    return buffer.getvalue()


def write_clip(path: Path, jpegs: Sequence[bytes], landmarks: Float[np.ndarray, "T 478 2"]) -> None:
    """Write a clip; it appears under its name when it is complete, and not at all before.

    Raises:
        WriteError: if the file cannot be written, as when the disk is full.
    """
    assert len(jpegs) == len(landmarks)
    buffer = io.BytesIO()
    np.save(buffer, landmarks.astype(np.float32))
    with atomic_path(path) as temporary, tarfile.open(temporary, "w") as tar:
        _add(tar, LANDMARKS, buffer.getvalue())
        for index, jpeg in enumerate(jpegs):
            _add(tar, f"{index:06d}.jpg", jpeg)


def read_clip(source: Path | bytes) -> tuple[StoredFrames, Float[np.ndarray, "T 478 2"]]:
    """Open a clip: its landmarks, and its frames to be decoded when they are asked for.

    Args:
        source: a clip's file, or such a file's contents.

    Raises:
        MediaError: if it is missing or damaged.
    """
    name = "a clip of a shard" if isinstance(source, bytes) else f"'{source}'"
    with _open_tar(source) as tar:
        try:
            first = tar.next()
            is_there = first is not None and first.name == LANDMARKS and first.isreg()
            # A sparse member may be as large as it likes.
            file = tar.extractfile(first) if is_there and first and not first.issparse() else None
            if file is None:
                raise MediaError(f"{name} is no prepared clip: its first member is not {LANDMARKS}")
            content = io.BytesIO(file.read())
            landmarks = np.lib.format.read_array(content, allow_pickle=False)
        except (*ARRAY_DAMAGE, tarfile.TarError) as error:
            raise MediaError(f"{name}: {LANDMARKS} is damaged: {error}") from error
    if not isinstance(landmarks, np.ndarray):
        raise MediaError(f"{name}: {LANDMARKS} holds no array; prepare it again")
    if landmarks.shape[1:] != (NUM_LANDMARKS, 2) or landmarks.dtype != np.float32:
        raise MediaError(
            f"{name}: {LANDMARKS} must be float32 (T, {NUM_LANDMARKS}, 2), "
            f"got {landmarks.dtype} {landmarks.shape}"
        )
    flat = landmarks.reshape(len(landmarks), -1)
    is_face = np.isfinite(flat).all(axis=1) & (np.abs(np.nan_to_num(flat)) <= FARTHEST).all(axis=1)
    if not (is_face | np.isnan(flat).all(axis=1)).all():
        raise MediaError(
            f"{name}: {LANDMARKS} has frames with some points that are no places; prepare it again"
        )
    return StoredFrames(source, len(landmarks)), landmarks


def _open_tar(source: Path | bytes) -> tarfile.TarFile:
    try:
        if isinstance(source, bytes):
            return tarfile.open(fileobj=io.BytesIO(source), mode="r:")
        return tarfile.open(source, mode="r:")
    except FileNotFoundError as error:
        raise MediaError(f"no such clip: '{source!s}'; run `fnevr prepare` again") from error
    except (tarfile.TarError, OSError) as error:
        name = "a clip of a shard" if isinstance(source, bytes) else f"'{source}'"
        raise MediaError(f"{name} cannot be read: {error}; prepare it again") from error


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a member; its time is zero, so that the same frames make the same file."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
