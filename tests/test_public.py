"""The public names are an inventory."""

import subprocess
import sys

import pytest

import fnevr

NAMES = [
    "Animator",
    "CheckpointError",
    "FNeVR",
    "FaceError",
    "FnevrError",
    "Keypoints",
    "MediaError",
    "PoseEditor",
    "Report",
    "__version__",
]


def test_public_names():
    assert sorted(fnevr.__all__) == sorted(NAMES)
    assert dir(fnevr) == sorted(NAMES)
    for name in NAMES:
        assert getattr(fnevr, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        fnevr.Nothing  # noqa: B018


def test_importing_the_package_is_quick():
    code = "import fnevr, sys; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
