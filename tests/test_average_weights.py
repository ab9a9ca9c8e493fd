import importlib.util
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from fnevr.config.models import LiteConfig
from fnevr.models import load_model
from fnevr.models.lite import FNeVRLite

SCRIPT = Path(__file__).parent.parent / "scripts" / "average_weights.py"


def tiny(width):
    return FNeVRLite(
        LiteConfig(
            image_size=64,
            num_keypoints=5,
            num_free_keypoints=2,
            detector_widths=(4, 6, 8),
            motion_widths=(6, 8),
            width=width,
            num_planes=3,
            plane_width=2,
            hidden_width=8,
        )
    )


def run(*arguments):
    spec = importlib.util.spec_from_file_location("average_weights", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return CliRunner().invoke(module.app, [str(argument) for argument in arguments])


@pytest.fixture
def folders(tmp_path):
    """Two models of one configuration, and one of another."""
    for name, width in (("one", 8), ("two", 8), ("other", 12)):
        tiny(width).save_pretrained(tmp_path / name)
    return tmp_path


def test_writes_the_mean_of_all_tensors(folders):
    result = run(folders / "mean", folders / "one", folders / "two")
    assert result.exit_code == 0, result.output
    one, two, mean = (load_model(folders / name).state_dict() for name in ("one", "two", "mean"))
    assert any(not torch.equal(one[name], two[name]) for name in one)
    for name, value in mean.items():
        expected = (one[name] + two[name]) / 2 if value.is_floating_point() else one[name]
        torch.testing.assert_close(value, expected, rtol=1e-3, atol=1e-6)  # stored as float16


@pytest.mark.parametrize("names", [["one"], ["one", "other"]])
def test_what_cannot_be_averaged_says_so(folders, names):
    result = run(folders / "mean", *(folders / name for name in names))
    assert result.exit_code == 2
    assert "Error" in result.output
    assert not (folders / "mean").exists()
