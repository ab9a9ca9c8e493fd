"""A server for tests, and what visitors bring."""

from __future__ import annotations

import io
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
from fastapi.testclient import TestClient
from PIL import Image

from fnevr.animation.keypoint_track import KeypointTrack, load_track, save_track
from fnevr.config.presets import asset
from fnevr.media.image import read_image
from fnevr.server.app import create_app
from fnevr.server.settings import Limits, ServerSettings

ADDRESS = "http://127.0.0.1:8000"
SOCKET = "ws://127.0.0.1:8000/api/live"
PATIENCE_S = 120  # for machines on which much else runs; nothing waits so long where it is well
KEPT_S = 60 * Limits().keep_minutes + 1  # what was last used so long ago is deleted


def make_app(root, cleaning_s=10.0, token=None, **limits):
    settings = ServerSettings(engine="onnx", token=token, limits=Limits(**limits))
    return create_app(settings, root, cleaning_s)


def visitor(app):
    """Somebody with cookies of their own. Used in a `with` block, the server runs."""
    return TestClient(app, base_url=ADDRESS)


def jpeg(rgb):
    encoded = io.BytesIO()
    Image.fromarray(rgb).save(encoded, "JPEG", quality=90)
    return encoded.getvalue()


def two_faces():
    """The bundled portrait beside a smaller one of itself, so that the left face is face 0."""
    portrait = read_image(asset("portrait.jpg"))
    small = np.asarray(Image.fromarray(portrait).resize((384, 384)))
    right = np.full((512, 384, 3), 200, np.uint8)
    right[:384] = small
    return np.concatenate((portrait, right), axis=1)


def short_motion(path: Path, frames, start=0):
    """Cut some frames out of the bundled motion, as bytes of a track."""
    track = load_track(asset("motion.safetensors"))
    part = slice(start, start + frames)
    assert track.performance is not None
    save_track(
        path,
        KeypointTrack(
            track.keypoints[part], Fraction(24), track.model, performance=track.performance[part]
        ),
    )
    return path.read_bytes()


def until(condition, seconds=PATIENCE_S):
    """Wait for a condition."""
    stop = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < stop, "it does not come true"
        time.sleep(0.05)


def ended(client, job):
    """Wait for the end of a job, and return what is said about it then."""
    address = f"/api/jobs/{job['id']}"
    until(lambda: client.get(address).json()["state"] in ("done", "failed", "cancelled"))
    return client.get(address).json()


def files_of(app):
    """All files that the server holds on disk."""
    root = app.state.rooms.sessions.root
    return sorted(path for path in root.rglob("*") if path.is_file())
