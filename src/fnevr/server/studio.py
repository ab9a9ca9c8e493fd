"""The model in the server's own process, for pictures that are wanted at once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fnevr.animation.animator import Animator
from fnevr.animation.edit import PoseEditor
from fnevr.animation.live import live_square
from fnevr.animation.regions import Regions
from fnevr.animation.source import Framing
from fnevr.media.image import read_image
from fnevr.media.resize import at_most
from fnevr.server.settings import ServerSettings

MAX_PREPARED = 6  # portraits that are kept ready


class Studio:
    """Loads the model when it is first needed, and keeps portraits ready to be drawn.

    Args:
        settings: the server's, which name the model.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._animator: Animator | None = None
        self._engine_lock = threading.RLock()
        self._prepared: OrderedDict[tuple[Path, Hashable], PoseEditor] = OrderedDict()

    @contextmanager
    def drawing(self) -> Iterator[Animator]:
        """Have the model for oneself; live portraits are drawn beside it where the engine can.

        Raises:
            FnevrError: if the model cannot be loaded.
        """
        with self._engine_lock:
            if self._animator is None:
                self._animator = load_animator(self._settings)
            yield self._animator

    def editor(self, path: Path, framing: Framing, longest: int | None) -> PoseEditor:
        """Return a portrait that is ready to be edited.

        Args:
            path: of the picture.
            framing: how it is cropped and put back.
            longest: the picture is made smaller if its longer side has more pixels; None: never.

        Raises:
            FnevrError: if there is no usable face, or the model cannot edit.
        """

        def make(animator: Animator) -> PoseEditor:
            return animator.pose_editor(at_most(read_image(path), longest), framing)

        return self._ready((path, (framing, longest)), make)

    def live_portrait(self, path: Path, face: int | None) -> PoseEditor:
        """Return a portrait that is ready to be shown live.

        Args:
            path: of the picture.
            face: which face, the largest being 0; None means the largest.

        Raises:
            FnevrError: if there is no usable face, or the model cannot retarget.
        """

        def make(animator: Animator) -> PoseEditor:
            square, framing = live_square(read_image(path), face)
            portrait = animator.pose_editor(square, framing)
            portrait.engine = animator.engine.side_by_side()
            # What is made once is made before the first frame.
            portrait.performing(portrait.retarget.own, Regions(), {})
            return portrait

        return self._ready((path, ("live", face)), make)

    def forget(self, path: Path) -> None:
        """Let go of portraits whose picture is deleted."""
        with self._engine_lock:
            for key in [key for key in self._prepared if key[0] == path]:
                del self._prepared[key]

    def _ready(
        self, key: tuple[Path, Hashable], make: Callable[[Animator], PoseEditor]
    ) -> PoseEditor:
        with self.drawing() as animator:
            if key not in self._prepared:
                self._prepared[key] = make(animator)
                while len(self._prepared) > MAX_PREPARED:
                    self._prepared.popitem(last=False)
            self._prepared.move_to_end(key)
            return self._prepared[key]


def load_animator(settings: ServerSettings) -> Animator:
    """Load the model that the settings name.

    Raises:
        FnevrError: if it cannot be loaded.
    """
    return Animator.from_pretrained(
        settings.model, settings.device, engine=settings.engine, precision=settings.precision
    )
