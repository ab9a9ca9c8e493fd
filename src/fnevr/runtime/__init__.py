"""How models run: folded for use, and on which engine."""

from fnevr.runtime.engine import ENGINES, PRECISIONS, Engine, EngineName, Precision

__all__ = ["ENGINES", "PRECISIONS", "Engine", "EngineName", "Precision"]
