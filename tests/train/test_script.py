"""scripts/train_lite.py from clips to a score, with the smallest of everything."""

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
from fnevr.media.image import read_image
from fnevr.models import load_model
from fnevr.presets import asset

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


def test_from_clips_to_a_score(script, folders, monkeypatch):
    data, cache, run = map(str, folders)
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
    monkeypatch.setattr(script, "LiteConfig", lambda: small)

    def call(*arguments):
        result = CliRunner().invoke(script.app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    assert "a.mp4" in call("cache", data, cache, "--workers", "1")
    brief = ("--minutes", "0.002", "--batch-size", "2", "--set", "window=64")
    call("train", data, cache, run, "--stage", "motion", *brief, "--set", "weights.warped=7")
    recipe = json.loads((folders[2] / "recipe.json").read_text())
    assert recipe["stage"] == "motion"
    assert (recipe["minutes"], recipe["batch_size"], recipe["motion_rate"]) == (0.002, 2, 1e-3)
    assert recipe["weights"]["warped"] == 7

    call("train", data, cache, f"{run}2", "--init", f"{run}/model", *brief)
    assert json.loads(Path(f"{run}2/recipe.json").read_text())["stage"] == "full"
    model = Path(run + "2") / "model"
    assert {path.name for path in model.iterdir()} == {"config.json", "model.safetensors"}
    assert load_model(model).config == small

    table = folders[2] / "table.json"
    call("score", data, cache, str(model), "--out", str(table))
    scores = json.loads(table.read_text())
    assert scores["summary"]["clips"] == 1
    assert scores["clips"][0]["name"] == "a.mp4"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("windowsize=64", "'windowsize=64': wanted NAME=VALUE"),
        ("window", "'window': wanted NAME=VALUE"),
        ("stage.x=1", "'stage.x=1': wanted NAME=VALUE"),
        ("window=65", "window: Input should be a multiple of 32"),
        ("weights.image=much", "weights.image: Input should be a valid number"),
    ],
)
def test_wrong_setting_says_so(script, setting, message):
    with pytest.raises(script.typer.BadParameter) as caught:
        script.make_recipe("full", [setting])
    assert message in str(caught.value)
