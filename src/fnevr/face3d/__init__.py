"""Heads in three dimensions: a head model, its fit to a picture, the mesh feature of a volume.

The mesh feature and DECA's encoder need PyTorch, so their modules are imported by whoever has it.
"""

from fnevr.face3d.head_model import Head, HeadModel, HeadParameters

__all__ = ["Head", "HeadModel", "HeadParameters"]
