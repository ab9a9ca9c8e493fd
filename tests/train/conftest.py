from __future__ import annotations

import shutil

import numpy as np
import pytest

from fnevr.config.models import LiteConfig
from fnevr.data.clips import Clip
from fnevr.data.manifest import ClipRow, Split, clip_path, read_manifest, write_manifest
from fnevr.data.pairs import PairSampler
from fnevr.data.store import encode_frame, write_clip
from fnevr.geometry.patches import FacePatches
from fnevr.train.recipe_table import RECIPES
from fnevr.train.start import new_model


@pytest.fixture(scope="session")
def patches():
    return FacePatches.packaged()


@pytest.fixture(scope="session")
def tiny_config():
    """Every stage of `lite` on 64x64 pixels; two keypoints without targets."""
    return LiteConfig(
        image_size=64,
        num_keypoints=27,
        num_free_keypoints=2,
        detector_widths=(4, 6, 8),
        motion_widths=(6, 8),
        width=8,
        num_planes=3,
        plane_width=2,
        hidden_width=8,
    )


@pytest.fixture
def tiny_model(tiny_config, patches):
    return new_model(tiny_config, patches, seed=0)


@pytest.fixture(scope="session")
def sampler(patches):
    """A clip of a soft square that wanders, and landmarks that go with it."""
    random = np.random.default_rng(0)
    y, x = (np.mgrid[:64, :64] + 0.5) / 32 - 1
    face = random.normal(0, 0.2, (478, 2))
    frames, landmarks = [], []
    for centre in random.uniform(-0.2, 0.2, (6, 2)):
        distance = np.maximum(abs(x - centre[0]), abs(y - centre[1]))
        bright = 255 / (1 + np.exp(20 * (distance - 0.5)))
        frames.append(np.stack([bright, bright * (1 + x) / 2, bright * (1 + y) / 2], axis=-1))
        landmarks.append(face + centre)
    clip = Clip(
        "square", "a", 0.1, np.stack(frames).astype(np.uint8), np.stack(landmarks).astype("f4")
    )
    return PairSampler([clip], patches, seed=0)


@pytest.fixture
def tiny_recipe():
    """Change a stage's recipe so that its steps are small."""

    def make(stage, **changes):
        small = {"batch_size": 2} | ({"window": 32} if stage == "full" else {})
        values = RECIPES[stage].model_dump() | small | changes
        return RECIPES[stage].model_validate(values)

    return make


@pytest.fixture
def tiny_folders(tmp_path, tiny_model, sampler):
    """A prepared folder with the wandering square, and the tiny model's folder."""
    data, init = tmp_path / "data", tmp_path / "init"
    (data / "clips").mkdir(parents=True)
    clip, rows = sampler.clips[0], []
    splits: tuple[Split, ...] = ("train", "val")
    for split in splits:
        jpegs = [encode_frame(frame) for frame in clip.frames]
        write_clip(clip_path(data, split), jpegs, clip.landmarks)
        rows.append(
            ClipRow(
                name=split,
                split=split,
                identity=split,
                source="square.mp4",
                start_s=0,
                seconds=0.24,
                frames=len(jpegs),
                fps=25,
                crop=(0, 0, 64),
                face_px=32,
                motion=0.1,
            )
        )
    write_manifest(data, rows)
    tiny_model.save_pretrained(init)
    return data, init


@pytest.fixture
def tiny_stills(tmp_path, tiny_folders):
    """A folder of stills beside the prepared one: the wandering square, as if one were real."""
    data, stills = tiny_folders[0], tmp_path / "stills"
    shutil.copytree(data, stills)
    rows = [row.model_copy(update={"real_frames": 1}) for row in read_manifest(data)]
    write_manifest(stills, rows)
    return stills
