from __future__ import annotations

import pytest

from fnevr.config.shard import Shard, parse_shard
from fnevr.errors import FnevrError


def test_shards_divide_the_work_without_rest_or_overlap():
    shards = [parse_shard(f"{number}/3") for number in (1, 2, 3)]
    taken = [[index for index in range(8) if shard.takes(index)] for shard in shards]
    assert taken == [[0, 3, 6], [1, 4, 7], [2, 5]]
    assert all(Shard().takes(index) for index in range(8))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2", "such as 2/4, got '2'"),
        ("a/b", "such as 2/4, got 'a/b'"),
        ("1/2/3", "such as 2/4"),
        ("-1/2", "such as 2/4"),
        ("²/2", "such as 2/4"),
        ("0/4", "1/4 to 4/4, got 0/4"),
        ("5/4", "1/4 to 4/4, got 5/4"),
        ("0/0", "got 0/0"),
    ],
)
def test_what_is_no_shard_says_so(text, message):
    with pytest.raises(FnevrError, match=message):
        parse_shard(text)
