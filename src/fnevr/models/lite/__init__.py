"""The `lite` model: quick on a laptop CPU."""

from fnevr.models.encoded_source import CELL
from fnevr.models.lite.model import FNeVRLite, LiteGenerated, Window

__all__ = ["CELL", "FNeVRLite", "LiteGenerated", "Window"]
