"""A server of the page, for the scripts that measure it or take its pictures."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def page_server() -> Iterator[tuple[str, int]]:
    """Run `fnevr web`; give its address, which ends with a slash, and the number of its process."""
    command = [sys.executable, "-m", "fnevr", "web", "--no-browser"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            found = re.search(r"http://\S+", server.stderr.readline())
            assert found is not None
            yield found[0], server.pid
        finally:
            server.terminate()
