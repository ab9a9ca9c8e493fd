"""The `lite` model: quick on a laptop CPU."""

from fnevr.models.lite.blocks import CELL
from fnevr.models.lite.model import FNeVRLite, LiteGenerated, Window

__all__ = ["CELL", "FNeVRLite", "LiteGenerated", "Window"]
