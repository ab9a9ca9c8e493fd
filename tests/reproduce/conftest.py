from __future__ import annotations

import shutil

import pytest
import torch
from support.settled import settled
from support.voxceleb import write_cut_clip

from fnevr.compat import export_checkpoint
from fnevr.compat.names import Layout
from fnevr.models import ARCHITECTURES


@pytest.fixture(scope="session")
def small_configs(tiny_fnevr_config, tiny_fomm_config, face_driven_configs):
    """Systems whose pictures are as large as the real ones', and little else; by their preset."""
    return {
        "base": tiny_fnevr_config.model_copy(update={"image_size": 256}),
        "fomm": tiny_fomm_config.model_copy(update={"image_size": 256}),
        "bilayer": face_driven_configs["bilayer"],
    }


@pytest.fixture(scope="session")
def small_systems(small_configs):
    """Let the small configurations stand for those of the released checkpoints."""
    torch.manual_seed(0)
    released = Layout.config

    def config(layout):
        return small_configs.get(layout.preset) or released(layout)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Layout, "config", config)
        yield {
            preset: settled(ARCHITECTURES[config.architecture](config))
            for preset, config in small_configs.items()
        }


@pytest.fixture(scope="session")
def made_checkpoints(small_systems, tmp_path_factory):
    """A folder with FNeVR's and FOMM's files under names that say nothing, and another file."""
    folder = tmp_path_factory.mktemp("made") / "checkpoints"
    export_checkpoint(small_systems["base"], folder / "one.pth.tar")
    export_checkpoint(small_systems["fomm"], folder / "sub" / "two.pt")
    (folder / "notes.pth").write_text("this is no checkpoint")
    return folder


@pytest.fixture
def checkpoints(made_checkpoints, tmp_path):
    """A copy of that folder, to be changed."""
    return shutil.copytree(made_checkpoints, tmp_path / "checkpoints")


@pytest.fixture(scope="session")
def voxceleb(tmp_path_factory):
    """Two people of each data set, cut out as by FOMM's preprocessing."""
    folder = tmp_path_factory.mktemp("voxceleb")
    for number, identity in enumerate(("id10280", "id10281", "id00017", "id00061")):
        write_cut_clip(folder / "test", identity, step=2 - number, num_frames=3)
    return folder
