"""The share of the work that one process takes, of several that do it together: 2/4."""

from __future__ import annotations

from dataclasses import dataclass

from fnevr.errors import FnevrError


@dataclass(frozen=True)
class Shard:
    """One of several shares of the work: the second of four takes the items 1, 5, 9 and so on.

    Attributes:
        number: which one, from 1.
        count: how many there are.

    Raises:
        FnevrError: if there is no such share.
    """

    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise FnevrError(
                f"a shard is one of several, 1/4 to 4/4, got {self.number}/{self.count}",
                argument="shard",
            )

    def takes(self, index: int) -> bool:
        """Tell whether an item, counted from 0, is of this share."""
        return index % self.count == self.number - 1


def parse_shard(text: str) -> Shard:
    """Read a share as the command line has it, "2/4".

    Raises:
        FnevrError: if it says something else.
    """
    number, _, count = text.partition("/")
    if not all(part.isascii() and part.isdecimal() and len(part) < 9 for part in (number, count)):
        raise FnevrError(
            f"a shard is a number and how many there are, such as 2/4, got '{text}'",
            argument="shard",
        )
    return Shard(int(number), int(count))
