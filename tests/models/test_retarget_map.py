import numpy as np
import pytest
from safetensors.numpy import save_file

from fnevr.config.folder import RETARGET_NAME
from fnevr.errors import CheckpointError
from fnevr.models.retarget_map import LIDS, RetargetMap


def some_map(num_face=25, beside=3):
    rng = np.random.default_rng(0)
    lids = rng.standard_normal((6 * num_face, 6 * len(LIDS))).astype(np.float32)
    return RetargetMap(lids, *rng.uniform(0, 1, (4, beside)).astype(np.float32))


def test_a_map_comes_back_from_its_folder(tmp_path):
    written = some_map()
    written.save(tmp_path)
    back = RetargetMap.from_folder(tmp_path, 25, 28)
    assert back is not None
    for name in ("lids", "shifts", "turns", "depths", "bends"):
        np.testing.assert_allclose(getattr(back, name), getattr(written, name), atol=3e-3)


def test_folders_without_one_have_none(tmp_path):
    assert RetargetMap.from_folder(tmp_path, 25, 28) is None


def test_only_lids_are_seen_otherwise():
    change = np.random.default_rng(1).standard_normal((25, 6))
    known = some_map()
    seen = known.as_detected(change)
    others = [index for index in range(25) if index not in LIDS]
    np.testing.assert_array_equal(seen[others], change[others])
    added = (change.reshape(-1) @ known.lids).reshape(len(LIDS), 6)
    np.testing.assert_allclose(seen[list(LIDS)], change[list(LIDS)] + added)


@pytest.mark.parametrize(
    ("changed", "mark"),
    [
        ({"shifts": np.zeros(4, np.float32)}, "fnevr-retarget-1"),
        ({"more": np.zeros(4, np.float32)}, "fnevr-retarget-1"),
        ({"turns": np.full(3, np.nan, np.float32)}, "fnevr-retarget-1"),
        ({"bends": np.full(3, 1e30, np.float64)}, "fnevr-retarget-1"),
        ({}, "another"),
    ],
)
def test_damaged_maps_are_refused(tmp_path, changed, mark):
    arrays = {**vars(some_map()), **changed}
    save_file(arrays, tmp_path / RETARGET_NAME, metadata={"format": mark})
    with pytest.raises(CheckpointError, match="is not the retargeting of a model with 28"):
        RetargetMap.from_folder(tmp_path, 25, 28)
    (tmp_path / RETARGET_NAME).write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="is damaged"):
        RetargetMap.from_folder(tmp_path, 25, 28)
