from __future__ import annotations

import pytest
import torch
from support import formula

from fnevr.compat import load_checkpoint


@pytest.fixture(scope="session")
def from_formula(tmp_path_factory):
    """Load the checkpoint of a system, whose weights are formulas; each is made once."""
    loaded = {}

    def load(name):
        if name not in loaded:
            checkpoint = tmp_path_factory.mktemp(name) / "checkpoint.pth.tar"
            parts = formula.checkpoint(name)
            torch.save({**parts, "epoch": 3, "optimizer_generator": {}}, checkpoint)
            model = load_checkpoint(checkpoint)
            checkpoint.unlink()  # up to two thirds of a gigabyte
            sizes = {part: formula.num_parameters(tensors) for part, tensors in parts.items()}
            if name != "fnevr":  # the one that two modules look at
                return model, sizes
            loaded[name] = model, sizes
        return loaded[name]

    return load
