"""The `lite` model: real time on two CPU cores."""

from fnevr.models.lite.model import FNeVRLite, LiteGenerated, Window

__all__ = ["FNeVRLite", "LiteGenerated", "Window"]
