"""`python -m cartwright` runs the same as `cartwright`."""

from cartwright.cli import main

main()
