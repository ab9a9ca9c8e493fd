from __future__ import annotations

import io
import pickle
import tarfile

import numpy as np
import pytest
from PIL import Image

from fnevr.data.store import encode_frame, read_clip, write_clip
from fnevr.errors import MediaError


@pytest.fixture
def stored(tmp_path):
    """A clip of five smooth frames, each brighter than the last."""
    ramp = np.linspace(0, 100, 32, dtype=np.uint8)
    brighter = [ramp[:, None, None] + 20 * i for i in range(5)]
    frames = np.stack([np.broadcast_to(one, (32, 32, 3)) for one in brighter])
    landmarks = np.random.default_rng(0).normal(size=(5, 478, 2)).astype(np.float32)
    landmarks[3] = np.nan
    path = tmp_path / "clip.tar"
    write_clip(path, [encode_frame(frame) for frame in frames], landmarks)
    return path, frames, landmarks


@pytest.mark.parametrize("as_bytes", [False, True])
def test_clip_comes_back(stored, as_bytes):
    path, frames, landmarks = stored
    found, points = read_clip(path.read_bytes() if as_bytes else path)
    np.testing.assert_array_equal(points, landmarks)
    assert len(found) == 5
    assert found.shape == (5, 32, 32, 3)
    for index in (4, 0, -1):  # any order
        assert found[index].dtype == np.uint8
        assert np.abs(found[index].astype(int) - frames[index]).max() <= 3


def test_frames_are_indexed_as_an_array_is(stored):
    found, _ = read_clip(stored[0])
    whole = np.stack(list(found))
    for index in (slice(1, 4), slice(None, 1), np.array([3, 0]), [2, 2]):
        np.testing.assert_array_equal(found[index], whole[index])
    np.testing.assert_array_equal(found[np.int64(2)], whole[2])
    with pytest.raises(IndexError, match="frame 5 of 5"):
        found[5]


def test_frames_can_be_handed_to_another_process(stored):
    found, _ = read_clip(stored[0])
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again[2], found[2])


def test_file_is_a_plain_tar_that_depends_on_nothing_else(stored, tmp_path):
    path, frames, landmarks = stored
    with tarfile.open(path) as tar:
        names = tar.getnames()
    assert names == ["landmarks.npy", *(f"{i:06d}.jpg" for i in range(5))]
    again = tmp_path / "again.tar"
    write_clip(again, [encode_frame(frame) for frame in frames], landmarks)
    assert again.read_bytes() == path.read_bytes()


def test_nothing_is_left_of_a_clip_that_could_not_be_finished(stored, tmp_path):
    _, _, landmarks = stored
    folder = tmp_path / "clips"
    folder.mkdir()

    def frames():
        yield b"jpeg"
        raise KeyboardInterrupt

    class Broken(list):
        def __len__(self):
            return 5

        def __iter__(self):
            return frames()

    with pytest.raises(KeyboardInterrupt):
        write_clip(folder / "clip.tar", Broken(), landmarks)
    assert list(folder.iterdir()) == []


def test_missing_and_damaged_files_say_so(stored, tmp_path):
    path = stored[0]
    with pytest.raises(MediaError, match=r"no such clip: '.*gone\.tar'"):
        read_clip(tmp_path / "gone.tar")
    (tmp_path / "text.tar").write_text("this is no tar file")
    with pytest.raises(MediaError, match=r"text\.tar' cannot be read"):
        read_clip(tmp_path / "text.tar")
    with tarfile.open(tmp_path / "other.tar", "w") as tar:
        tar.add(path, "clip.tar")
    with pytest.raises(MediaError, match="is no prepared clip"):
        read_clip(tmp_path / "other.tar")
    data = path.read_bytes()
    (tmp_path / "short.tar").write_bytes(data[:1500])
    with pytest.raises(MediaError, match=r"short\.tar"):
        read_clip(tmp_path / "short.tar")


def test_fewer_frames_than_landmarks_say_so(stored, tmp_path):
    with tarfile.open(stored[0]) as tar, tarfile.open(tmp_path / "less.tar", "w") as less:
        for member in list(tar)[:-1]:
            less.addfile(member, tar.extractfile(member))
    frames, _ = read_clip(tmp_path / "less.tar")
    with pytest.raises(MediaError, match="holds 4 frames and the landmarks of 5"):
        frames[0]


def test_damaged_frame_says_which(stored):
    data = bytearray(stored[0].read_bytes())
    frames, _ = read_clip(bytes(data))
    offset, size = frames._find_frames()[2]
    data[offset : offset + size] = bytes(size)
    with pytest.raises(MediaError, match="frame 2 is damaged"):
        read_clip(bytes(data))[0][2]


@pytest.mark.parametrize(("before", "after"), [(b"478, 2)", b"478, 2 "), (b"'<f4'", b"'<f4\n")])
def test_landmarks_with_a_damaged_header_say_so(stored, before, after):
    data = stored[0].read_bytes()
    with pytest.raises(MediaError, match=r"landmarks\.npy is damaged"):
        read_clip(data.replace(before, after))


def test_landmarks_of_another_form_say_so(stored, tmp_path):
    _, frames, landmarks = stored
    jpegs = [encode_frame(frame) for frame in frames]
    write_clip(tmp_path / "clip.tar", jpegs, landmarks)
    data = (tmp_path / "clip.tar").read_bytes()
    (tmp_path / "wide.tar").write_bytes(data.replace(b"(5, 478, 2)", b"(5, 239, 4)"))
    with pytest.raises(MediaError, match=r"must be float32 \(T, 478, 2\), got float32 \(5, 239"):
        read_clip(tmp_path / "wide.tar")


def packed(landmarks, *jpegs, name="landmarks.npy", edit=lambda member: None):
    """Return a clip's bytes, made by hand."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for number, data in enumerate((landmarks, *jpegs)):
            member = tarfile.TarInfo(name if number == 0 else f"{number:06d}.jpg")
            member.size = len(data)
            edit(member)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


POINTS = np.zeros((2, 478, 2), np.float32)
GRAY = np.zeros((8, 8, 3), np.uint8)


def with_point(value):
    points = POINTS.copy()
    points[1, 5, 0] = value
    return points


@pytest.mark.parametrize(
    "landmarks",
    [
        npy(np.zeros(())),
        npy(with_point(np.nan)),
        npy(with_point(np.inf)),
        npy(with_point(1e30)),
        npy(np.array([{"a": 1}], dtype=object)),
        npy(POINTS).replace(b"(2, 478, 2)", b"(2**9,478,)"),
        npy(POINTS).replace(b"(2, 478, 2), }", b"(2" + b"0" * 9 + b",2), }"),
        b"\x93NUMPY\x01\x00\xff\xff{",
        b"PK\x03\x04 no array",
        b"",
    ],
)
def test_landmarks_that_are_none_say_so(landmarks):
    with pytest.raises(MediaError, match=r"a clip of a shard"):
        read_clip(packed(landmarks, encode_frame(GRAY), encode_frame(GRAY)))


@pytest.mark.parametrize("kind", [tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_first_member_that_is_no_file(kind):
    def change(member):
        member.type = kind

    with pytest.raises(MediaError, match="is no prepared clip"):
        read_clip(packed(npy(POINTS), edit=change))


@pytest.mark.parametrize("second", [b"no picture", encode_frame(np.zeros((8, 9, 3), np.uint8))])
def test_frames_that_do_not_fit_each_other(second):
    frames, _ = read_clip(packed(npy(POINTS), encode_frame(GRAY), second))
    with pytest.raises(MediaError, match=r"frame 1 is damaged|differ in size"):
        frames[:]


def test_a_frame_of_too_many_pixels():
    jpeg = bytearray(encode_frame(GRAY))
    start = jpeg.index(b"\xff\xc0") + 5
    jpeg[start : start + 4] = b"\xff\xdc\xff\xdc"
    frames, _ = read_clip(packed(npy(POINTS), encode_frame(GRAY), bytes(jpeg)))
    with pytest.raises(MediaError, match="frame 1 is damaged"):
        frames[1]


def test_a_folder_where_a_clip_should_be(tmp_path):
    with pytest.raises(MediaError, match="cannot be read"):
        read_clip(tmp_path)


@pytest.mark.parametrize("options", [{"progressive": True}, {"progressive": True, "quality": 20}])
def test_frames_that_a_decoder_goes_over_several_times_are_refused(tmp_path, options):
    buffer = io.BytesIO()
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))
    picture.save(buffer, "JPEG", **options)
    usual = encode_frame(np.asarray(picture))
    write_clip(tmp_path / "a.tar", [usual, buffer.getvalue()], np.zeros((2, 478, 2)))
    frames, _ = read_clip(tmp_path / "a.tar")
    assert frames[0].shape == (32, 32, 3)
    with pytest.raises(MediaError, match=r"frame 1 is damaged: it has several scans"):
        frames[1]
