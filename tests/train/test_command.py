"""`fnevr train`, and `fnevr prepare` before it, as a user calls them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.media_clips import make_video
from support.prepared import prepared_clips
from typer.testing import CliRunner

from fnevr.cli import app
from fnevr.config.presets import asset
from fnevr.data.manifest import read_manifest, write_manifest
from fnevr.media.image import read_image
from fnevr.models import load_model
from fnevr.train.recipe import FullRecipe
from fnevr.train.recipe_choice import choose_recipe

SMALL_BATCH = ("--device", "cpu", "--batch-size", "2")
SMALL = (*SMALL_BATCH, "--set", "window=32")


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_dry_run_prints_the_recipe_and_touches_nothing(tmp_path):
    result = call("train", "nowhere", tmp_path / "run", "--steps", 7, *SMALL, "--dry-run")
    assert result.exit_code == 0, result.output
    (tmp_path / "printed.json").write_text(result.output)
    again = choose_recipe(str(tmp_path / "printed.json"))
    assert again == FullRecipe(steps=7, minutes=None, batch_size=2, window=32)
    assert "discriminator_rate" not in json.loads(result.output)  # no weight asks for one
    assert not (tmp_path / "run").exists()


def test_three_raw_videos_to_a_model(tmp_path, tiny_model):
    """Prepared, split by person, and trained on for two steps, with a validation."""
    portrait = read_image(asset("portrait.jpg"))
    (tmp_path / "raw").mkdir()
    for number in range(3):
        ways = ((1, 0), (0, 1), (0, -1))[number]
        frames = [np.roll(portrait, (step * ways[0], step * ways[1]), (0, 1)) for step in range(12)]
        make_video(tmp_path / "raw" / f"person{number}.mp4", frames)
    raw, data, run = (tmp_path / name for name in ("raw", "data", "run"))
    result = call("prepare", raw, data, "--min-seconds", "0.2", "--min-face", "40")
    assert result.exit_code == 0, result.output
    assert "3 clips" in result.output, result.output

    tiny_model.save_pretrained(tmp_path / "tiny")
    options = ("--steps", 2, "--init", tmp_path / "tiny", "--set", "validations=1", *SMALL)
    result = call("train", data, run, *options)
    assert result.exit_code == 0, result.output
    assert f"{run / 'model'}: trained 2 steps" in result.output
    assert load_model(run / "model").config == tiny_model.config
    assert load_model(run / "best").config == tiny_model.config
    assert json.loads((run / "recipe.json").read_text())["steps"] == 2
    records = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert {"psnr", "still_psnr"} <= records[0].keys()
    assert {"image", "warped"} <= records[1].keys()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--set", "windowsize=3"), "'windowsize=3' sets nothing: wanted NAME=VALUE"),
        (("--recipe", "mine.json"), "there is no recipe 'mine.json'"),
        (("--steps", "0"), "steps: Input should be greater than 0"),
        (("--init", "nobody"), "there is no model 'nobody'"),
        (("--model", "lite"), "a model to start from brings its own configuration"),
        (("--recipe", "reference"), "window does nothing in the stage 'reference': it is of full"),
        (("--set", "weights.identity=2"), "weights.identity does nothing without face_network"),
        (("--set", "accumulate=3"), "a batch of 2 cannot be shared by 1 processes in 3 turns"),
        (("--set", "window=128"), "window of 128 pixels does not fit the clips' 64"),
        (("--device", "cuda"), "PyTorch finds no CUDA device here"),
    ],
)
def test_what_is_wrong_is_said_with_exit_code_2(options, message, tiny_folders, tmp_path):
    data, init = tiny_folders
    if "--init" not in options:
        options = ("--init", init, *options)
    result = call("train", data, tmp_path / "run", "--steps", 1, *SMALL, *options)
    assert result.exit_code == 2
    assert message in result.output


def test_recipe_for_another_model_says_so(tiny_folders, tmp_path):
    data, init = tiny_folders
    options = ("--init", init, "--recipe", "reference", "--steps", 1, *SMALL_BATCH)
    plain = [f"--set=weights.{name}=0" for name in ("perceptual", "generator", "feature_matching")]
    result = call("train", data, tmp_path / "run", *options, *plain)
    assert result.exit_code == 2
    assert "'reference' does not train a model of architecture 'fnevr-lite'" in result.output


def test_reference_model_from_a_config_to_a_folder(tiny_folders, tiny_fomm_config, tmp_path):
    """Anew, without the networks that judge, and a validation; `--model` takes names too."""
    data, _ = tiny_folders
    config = tmp_path / "fomm.json"
    config.write_text(tiny_fomm_config.model_dump_json())
    plain = [f"--set=weights.{name}=0" for name in ("perceptual", "generator", "feature_matching")]
    options = (
        "--recipe",
        "reference",
        "--set",
        "validations=1",
        "--steps",
        2,
        *SMALL_BATCH,
        *plain,
    )
    result = call("train", data, tmp_path / "run", "--model", config, *options)
    assert result.exit_code == 0, result.output
    assert load_model(tmp_path / "run" / "model").config == tiny_fomm_config
    assert load_model(tmp_path / "run" / "best").config == tiny_fomm_config

    result = call("train", data, tmp_path / "other", "--model", "nobody", *options)
    assert result.exit_code == 2
    assert "neither one of lite, base, fomm, face-vid2vid" in result.output


def test_folder_that_is_not_prepared_says_so(tmp_path):
    result = call("train", tmp_path, tmp_path / "run", "--steps", 1, *SMALL)
    assert result.exit_code == 2
    assert "run `fnevr prepare" in result.output


def test_clips_and_stills_are_trained_on_together(tiny_folders, tiny_stills, tmp_path):
    data, init = tiny_folders
    knobs = ("--set", "stills_share=0.5", "--set", "validations=1")
    options = ("--steps", 2, "--init", init, "--stills", tiny_stills, *knobs, *SMALL)
    result = call("train", data, tmp_path / "run", *options)
    assert result.exit_code == 0, result.output
    log = (tmp_path / "run" / "log.jsonl").read_text()
    assert "stills_psnr" in json.loads(log.splitlines()[0])
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["stills_share"] == 0.5


def test_stills_that_cannot_be_used_say_so(tiny_folders, tiny_stills, tmp_path):
    data, init = tiny_folders
    options = (data, tmp_path / "run", "--steps", 1, "--init", init, *SMALL)
    result = call("train", *options, "--set", "stills_share=0.5")
    assert result.exit_code == 2
    assert "stills_share does nothing without stills\nadd --stills FOLDER" in result.output
    result = call("train", *options, "--stills", data)
    assert result.exit_code == 2
    assert f"'{data}' has no stills to train on" in result.output
    large = prepared_clips(tmp_path / "large", 96)
    rows = [row.model_copy(update={"real_frames": 1}) for row in read_manifest(large)]
    write_manifest(large, rows)
    result = call("train", *options, "--stills", large)
    assert result.exit_code == 2
    assert "are 64 pixels wide, the stills of" in result.output


@pytest.mark.parametrize("share", ["0", "1.1", "much"])
def test_share_that_makes_no_sense_is_refused(share, tiny_folders, tmp_path):
    data, _ = tiny_folders
    result = call("train", data, tmp_path / "run", "--set", f"stills_share={share}", *SMALL)
    assert result.exit_code == 2
    assert "stills_share: Input should be" in result.output
