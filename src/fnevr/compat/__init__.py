"""Other projects' checkpoints to ours and back, by one table of names per layout."""

from __future__ import annotations

from fnevr.compat.checkpoint import convert, export_checkpoint, load_checkpoint

__all__ = ["convert", "export_checkpoint", "load_checkpoint"]
