"""What the tools' command lines share: steps on the console, and refusals as messages."""

import sys

import typer
from rich.console import Console

from suite.refusals import Refusal

console = Console(highlight=False)


def step(line: str) -> None:
    """Print one step."""
    console.print(f"  [dim]·[/] {line}")


def run(app: typer.Typer, name: str) -> None:
    """Run a command line; a refusal is a message and exit code 1, not a traceback."""
    try:
        app(prog_name=name)
    except Refusal as refusal:
        Console(stderr=True, highlight=False).print(f"[red]✗[/] {refusal}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
