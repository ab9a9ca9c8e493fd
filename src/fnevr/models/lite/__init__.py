"""The `lite` model: real time on two CPU cores."""

from fnevr.models.lite.model import CELL, FNeVRLite, LiteGenerated, Window

__all__ = ["CELL", "FNeVRLite", "LiteGenerated", "Window"]
