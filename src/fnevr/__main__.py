"""Run the commands as ``python -m fnevr``."""

from fnevr.cli import main

main()
