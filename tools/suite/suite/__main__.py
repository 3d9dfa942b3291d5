"""The command line entry: `python -m suite`."""

from suite.cli import main

main()
