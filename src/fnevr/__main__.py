"""Run the commands as ``python -m fnevr``."""

import sys
from pathlib import Path

# Python looks for modules in the working directory first then, where a file may be called torch.py.
if not sys.flags.safe_path and Path(sys.path[0]) != Path(__file__).parents[1]:
    del sys.path[0]

from fnevr.cli import main

main()
