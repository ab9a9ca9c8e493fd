"""scripts/train_lite.py from clips to a score."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from media_clips import make_video
from typer.testing import CliRunner

from fnevr.config import LiteConfig
from fnevr.data.cache import TABLE
from fnevr.geometry.patches import FacePatches
from fnevr.media.image import read_image
from fnevr.presets import asset
from fnevr.train.start import new_model

SCRIPT = Path(__file__).parents[2] / "scripts" / "train_lite.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("train_lite", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folders(tmp_path):
    """One clip of the bundled portrait at 128 pixels, for training and for scoring."""
    data = tmp_path / "data"
    (data / "clips").mkdir(parents=True)
    picture = read_image(asset("portrait.jpg"))[:256:2, 128:384:2]
    make_video(data / "clips" / "a.mp4", [picture, np.roll(picture, 2, axis=1)])
    rows = ["name\tsplit\tidentity\tmotion", "a.mp4\ttrain\ta\t0.1", "a.mp4\tval\ta\t0.1"]
    (data / TABLE).write_text("\n".join(rows) + "\n")
    return data, tmp_path / "cache", tmp_path / "run"


def test_from_clips_to_a_score(script, folders):
    data, cache, _ = map(str, folders)
    small = LiteConfig(
        image_size=64,
        num_keypoints=26,
        num_free_keypoints=1,
        detector_widths=(4, 6, 8),
        motion_widths=(6, 8),
        width=8,
        num_planes=3,
        plane_width=2,
        hidden_width=8,
    )

    def call(*arguments):
        result = CliRunner().invoke(script.app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    assert "a.mp4" in call("cache", data, cache, "--workers", "1")
    model = folders[2] / "model"
    new_model(small, FacePatches.packaged(), seed=0).save_pretrained(model)
    table = folders[2] / "table.json"
    call("score", data, cache, str(model), "--out", str(table))
    scores = json.loads(table.read_text())
    assert scores["summary"]["clips"] == 1
    assert scores["clips"][0]["name"] == "a.mp4"
