from __future__ import annotations

from importlib import resources

import numpy as np
import pytest
from PIL import Image

from fnevr.faces.detector import FaceDetector
from fnevr.faces.landmarks import FaceMesh


@pytest.fixture(scope="session")
def portrait():
    """The bundled photograph, 512x512, with one face of about 110 pixels."""
    path = resources.files("fnevr").joinpath("assets", "portrait.jpg")
    with path.open("rb") as file:
        return np.array(Image.open(file).convert("RGB"))


@pytest.fixture(scope="session")
def detector():
    return FaceDetector(num_threads=1)


@pytest.fixture(scope="session")
def mesh():
    return FaceMesh(num_threads=1)


@pytest.fixture(scope="session")
def landmarks(portrait, detector, mesh):
    return mesh.landmarks(portrait, detector.detect(portrait)[0])
