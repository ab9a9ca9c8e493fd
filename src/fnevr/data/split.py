"""Training or validation: decided by a hash of the identity, so that no person is in both."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from fnevr.data.manifest import ClipRow


def identity_place(identity: str) -> float:
    """Return a place in [0, 1) that depends on nothing but the identity."""
    digest = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def assign_splits(rows: Sequence[ClipRow], val_share: float) -> list[ClipRow]:
    """Give every row without a split one.

    An identity is for validation if its place is below `val_share`, whoever else there is. Only
    where this would leave nobody, and there are two people or more, the one with the lowest place
    is taken. An identity of which some clips have a split keeps it for the others.

    Args:
        rows: clips, with or without a split.
        val_share: of the identities; 0 keeps none.
    """
    own_splits = {row.identity: row.split for row in rows if row.split is not None}
    identities = {row.identity for row in rows}
    splits = {name: own_splits.get(name) or _by_place(name, val_share) for name in identities}
    newcomers = identities - set(own_splits)
    if val_share > 0 and len(identities) > 1 and "val" not in splits.values() and newcomers:
        splits[min(newcomers, key=identity_place)] = "val"
    return [
        row if row.split is not None else row.model_copy(update={"split": splits[row.identity]})
        for row in rows
    ]


def _by_place(identity: str, val_share: float) -> str:
    return "val" if identity_place(identity) < val_share else "train"
