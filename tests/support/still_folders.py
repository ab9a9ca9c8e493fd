"""Stills and a clip that drives them, made of the bundled portrait."""

from __future__ import annotations

import numpy as np
from PIL import Image
from support.data_rows import make_row
from support.raw_videos import talking_frames

from fnevr.data.clips import to_signed
from fnevr.data.manifest import clip_path, write_manifest
from fnevr.data.store import encode_frame, write_clip
from fnevr.faces.detector import FaceDetector
from fnevr.faces.find import find_face
from fnevr.faces.landmarks import FaceMesh

HEADER = "name\tsplit\tidentity\tweight\tlicence\torigin\n"
TABLE = (
    "ann1.png\ttrain\tann\t2\tCC0\there\n"
    "ann2.png\ttrain\tann\t\t\t\n"
    "bob.png\tval\tbob\t\t\t\n"
    "nobody.png\ttrain\tnobody\t\t\t\n"
    "wide.png\ttrain\twide\t\t\t\n"
)


def write_stills(folder):
    """Two pictures of one person, one of another, one of nobody, and one that is not square."""
    (folder / "stills").mkdir(parents=True)
    face, moved = talking_frames(2, step=10)
    pictures = {
        "ann1": face,
        "ann2": np.asarray(Image.fromarray(face).resize((384, 384))),
        "bob": moved,
        "nobody": np.full_like(face, 128),
        "wide": face[:200],
    }
    for name, rgb in pictures.items():
        Image.fromarray(rgb).save(folder / "stills" / f"{name}.png")
    (folder / "stills.tsv").write_text(HEADER + TABLE)
    return folder


def write_motion(folder):
    """A prepared folder with one training clip: the portrait, moving to the right."""
    (folder / "clips").mkdir(parents=True)
    frames = talking_frames(5, step=4)
    detector, mesh = FaceDetector(1), FaceMesh(1)
    faces = [to_signed(find_face(frame, None, detector, mesh), 256, 256) for frame in frames]
    write_clip(clip_path(folder, "clip"), [encode_frame(f) for f in frames], np.stack(faces))
    write_manifest(folder, [make_row(split="train", frames=5)])
    return folder
