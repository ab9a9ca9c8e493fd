import pytest

from fnevr.config.folder import CONFIG_NAME, WEIGHTS_NAME, parse_config
from fnevr.config.models import LiteConfig
from fnevr.config.presets import (
    DEFAULT,
    MODELS_VARIABLE,
    PRESETS,
    Preset,
    asset,
    is_installed,
    resolve_model,
    user_models,
)
from fnevr.errors import CheckpointError
from fnevr.media.files import file_sha256
from fnevr.models import load_model

SHIPPED = [preset for preset in PRESETS if is_installed(preset)]


def test_the_names_are_an_inventory():
    assert [preset.name for preset in PRESETS] == [
        "lite",
        "base",
        "fomm",
        "face-vid2vid",
        "face-vid2vid-s",
        "dagan",
        "dagan-spade",
        "pirender",
        "bilayer",
    ]
    assert DEFAULT == "lite"


@pytest.mark.parametrize("preset", SHIPPED, ids=lambda preset: preset.name)
def test_shipped_weights_are_those_of_the_table(preset):
    assert preset.sha256 == file_sha256(preset.folder / WEIGHTS_NAME)
    assert resolve_model(preset.name) == preset.folder
    assert load_model(preset.folder).config.image_size == 256
    assert parse_config(preset.folder / CONFIG_NAME) == preset.config()


@pytest.mark.parametrize("name", ["base", "fomm", "face-vid2vid-s", "dagan", "bilayer"])
def test_models_without_weights_say_how_to_get_them(name, tmp_path, monkeypatch):
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    with pytest.raises(CheckpointError, match="fnevr convert CHECKPOINT FOLDER") as caught:
        resolve_model(name)
    if name != "base":
        assert str(tmp_path / name) in str(caught.value)


def test_a_converted_model_goes_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    assert not is_installed(next(preset for preset in PRESETS if preset.name == "fomm"))
    folder = tmp_path / "fomm"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_text("{}")
    assert resolve_model("fomm") == folder
    monkeypatch.delenv(MODELS_VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_models() == tmp_path / ".local" / "share" / "fnevr" / "models"


def test_a_folder_with_both_files_is_a_model(tmp_path):
    for name in ("config.json", "model.safetensors"):
        with pytest.raises(CheckpointError, match=f"it lacks .*{name}"):
            resolve_model(tmp_path)
        (tmp_path / name).write_text("{}")
    assert resolve_model(tmp_path) == tmp_path


def test_what_is_no_model_says_so(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"neither a preset \(lite, base, fomm, .*\) nor a folder"
    ):
        resolve_model("huge")
    (tmp_path / "vox.pth.tar").write_text("x")
    with pytest.raises(CheckpointError, match="is a file; a model is a folder"):
        resolve_model(tmp_path / "vox.pth.tar")


def test_damaged_weights_of_a_preset(monkeypatch, tmp_path):
    monkeypatch.setattr("fnevr.config.presets.ASSETS", tmp_path)
    damaged = Preset("tiny", "for the test", LiteConfig, sha256="0" * 64)
    monkeypatch.setattr("fnevr.config.presets.PRESETS", (damaged,))
    damaged.folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (damaged.folder / name).write_text("{}")
    with pytest.raises(CheckpointError, match="damaged"):
        resolve_model("tiny")


def test_a_missing_asset_is_one_clear_error():
    with pytest.raises(CheckpointError, match=r"'no\.jpg' is not in this installation"):
        asset("no.jpg")
