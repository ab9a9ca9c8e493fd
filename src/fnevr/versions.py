"""The versions that a report names."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

REPORTED_PACKAGES = ("fnevr", "torch", "numpy", "av", "onnxruntime", "openvino")


def versions() -> dict[str, str]:
    """Return the versions of fnevr, Python and the packages that decide the numbers."""
    found = {"python": platform.python_version()}
    for package in REPORTED_PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
