"""The command line entry: `python -m cartwright`, the same as `cartwright`."""

from cartwright.cli import main

main()
