"""How a model's own keypoints go with a head whose landmarks are known: what retargeting needs.

Lids: the detector of `lite` is trained towards the keypoints of landmarks, and by the pictures that
come out. In the end its keypoints of the upper lids move about twice as far as the landmarks' when
an eye shuts, and its networks draw what they know. So the change of the lids' keypoints is a linear
map of the change of all keypoints of the face, in the frame of the head.

Beside the face: the keypoints of hair, neck and shoulders have no landmarks. Each follows the
shift of the neck and the turn about it in shares of its own, at a depth of its own.

Both are fitted to frames in which keypoints and landmarks are known (`train.retarget_map`).

Shapes: F keypoints of the face, F6 their six numbers each, L6 those of the lids, K other keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from fnevr.config.folder import RETARGET_NAME
from fnevr.errors import CheckpointError
from fnevr.media.files import atomic_path

FORMAT = "fnevr-retarget-1"
LIDS = (20, 21, 22, 23)  # patches of the upper and the lower lids (`geometry.patches`)
PER_KEYPOINT = 6  # two coordinates, four of the Jacobian
LARGEST = 1e3


@dataclass(frozen=True)
class RetargetMap:
    """What a model's keypoints do when a head moves.

    Attributes:
        lids: takes changes of the face's keypoints to what the detector adds to the lids'.
        shifts: in which share each keypoint beside the face follows the shift of the neck.
        turns: in which share it follows the head's turn about the neck.
        depths: how far it lies behind the middle of the face, in face heights.
        bends: in which share its Jacobian turns with the head.
    """

    lids: Float[np.ndarray, "F6 L6"]
    shifts: Float[np.ndarray, " K"]
    turns: Float[np.ndarray, " K"]
    depths: Float[np.ndarray, " K"]
    bends: Float[np.ndarray, " K"]

    def as_detected(self, change: Float[np.ndarray, "F 6"]) -> Float[np.ndarray, "F 6"]:
        """Return a change of the face's keypoints as the detector would see it.

        Args:
            change: of the keypoints that landmarks give, in the frame of the head.
        """
        change = change.copy()
        added = change.reshape(-1) @ self.lids
        change[list(LIDS)] += added.reshape(len(LIDS), PER_KEYPOINT)
        return change

    def save(self, folder: str | Path) -> None:
        """Write the map beside a model's weights, as float16; the file appears complete."""
        arrays = {name: getattr(self, name).astype(np.float16) for name in _NAMES}
        with atomic_path(Path(folder) / RETARGET_NAME) as temporary:
            save_file(arrays, temporary, metadata={"format": FORMAT})

    @classmethod
    def from_folder(cls, folder: Path, num_face: int, num_keypoints: int) -> RetargetMap | None:
        """Load the map that lies beside a model's weights; None where there is none.

        Args:
            folder: of the model.
            num_face: how many keypoints of the model lie on the face.
            num_keypoints: how many it has in all.

        Raises:
            CheckpointError: if it is damaged, or of a model with other keypoints.
        """
        path = folder / RETARGET_NAME
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="np") as file:
                is_map = (file.metadata() or {}).get("format") == FORMAT
                names = file.keys()
                arrays = {name: file.get_tensor(name).astype(np.float32) for name in names}
        except (SafetensorError, OSError, ValueError) as error:
            raise CheckpointError(
                f"'{path}' is damaged ({error})\ninstall or train it again"
            ) from error
        beside = (num_keypoints - num_face,)
        lids = (PER_KEYPOINT * num_face, PER_KEYPOINT * len(LIDS))
        shapes = {
            "lids": lids,
            "shifts": beside,
            "turns": beside,
            "depths": beside,
            "bends": beside,
        }
        fits = is_map and {name: array.shape for name, array in arrays.items()} == shapes
        if not fits or not all(np.abs(array).max() < LARGEST for array in arrays.values()):
            raise CheckpointError(
                f"'{path}' is not the retargeting of a model with {num_keypoints} keypoints, "
                f"{num_face} of them on the face\ninstall or train it again"
            )
        return cls(**arrays)


_NAMES = tuple(field.name for field in fields(RetargetMap))
