"""The `lite` model: quick on a laptop CPU."""

from fnevr.models.lite.model import CELL, FNeVRLite, LiteGenerated, Window

__all__ = ["CELL", "FNeVRLite", "LiteGenerated", "Window"]
