"""Passwords of a command: from a prompt, the environment or a file, never from its arguments.

Every user of a machine can read the arguments of its processes, and the shell stores them.
"""

import os
import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from cartwright.refusals import Refusal

STDIN = "-"


def _refuse(value: str | None) -> None:
    if value is not None:
        raise Refusal(
            "--password was removed: other users of this machine can read it in the list of "
            "processes, and the shell stores it, so change a password that you have typed there. "
            "Omit it to be prompted, set CARTWRIGHT_PASSWORD (`create-admin`: "
            "CARTWRIGHT_NEW_PASSWORD), or use --password-file FILE, where - is the standard input."
        )


def refuse_in_arguments(context: typer.Context, parameter: typer.CallbackParam, value: str) -> str:
    """A callback that accepts a URL with a password from the environment only."""
    source = context.get_parameter_source(parameter.name or "")
    if source is not None and source.name == "COMMANDLINE" and urlsplit(value).password is not None:
        raise Refusal(
            f"{parameter.opts[0]} holds a password, which other users of this machine can read in "
            f"the list of processes: set {parameter.envvar} instead."
        )
    return value


# Read before the other options, so that no prompt comes first.
Removed = Annotated[
    str | None, typer.Option("--password", hidden=True, is_eager=True, callback=_refuse)
]
PasswordFile = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        help="The password is the first line of this file; - is the standard input.",
    ),
]


def read(file: str, variable: str, prompt: str, *, confirm: bool = False) -> str:
    """The password of a file, else of an environment variable, else of a prompt without echo.

    Raises Refusal when the file cannot be read, or has no password.
    """
    if not file:
        found = os.environ.get(variable)
        return found or str(typer.prompt(prompt, hide_input=True, confirmation_prompt=confirm))
    try:
        text = sys.stdin.read() if file == STDIN else Path(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise Refusal(f"--password-file {file} cannot be read: {error}") from None
    password = text.partition("\n")[0].removesuffix("\r")
    if not password:
        raise Refusal(f"--password-file {file}: its first line is empty.")
    return password
