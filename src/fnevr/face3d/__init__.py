"""Heads in three dimensions: a head model, its fit to a picture, the mesh feature of a volume."""

from fnevr.face3d.head_model import Head, HeadModel, HeadParameters
from fnevr.face3d.mesh_feature import mesh_feature

__all__ = ["Head", "HeadModel", "HeadParameters", "mesh_feature"]
