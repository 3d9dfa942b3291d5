"""Inspect and repair the orders, messages and services of a running suite.

A group of commands is a module beside this one that holds `app = typer.Typer(help=…)`; it is
added below by one line. A command raises `Refusal` for what the operator can correct.
"""

import sys

import typer
from rich.console import Console
from rich.markup import escape

from cartwright import (
    audit,
    dead_letters,
    doctor,
    events,
    outbox,
    people,
    reconcile,
    replay,
    saga,
    seed,
    subscriber,
)
from cartwright.admin_api import ON_CLOSE
from cartwright.refusals import Refusal

app = typer.Typer(
    help=(__doc__ or "").split("\n", maxsplit=1)[0],
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


@app.callback()
def close_afterwards(context: typer.Context) -> None:
    """Close what a command opened when it ends."""
    ON_CLOSE.set(context.call_on_close)


# One line for each group, in alphabetical order: its module's app and its name.
app.add_typer(dead_letters.app, name="dead")
app.add_typer(events.app, name="events")
app.add_typer(outbox.app, name="outbox")
app.add_typer(saga.app, name="saga")
app.add_typer(subscriber.app, name="subscriber")

# Commands without a group.
app.command()(audit.audit)
app.command()(people.create_admin)
app.command()(doctor.doctor)
app.command()(people.login)
app.command()(people.logout)
app.command()(reconcile.reconcile)
app.command()(replay.replay)
app.command()(seed.seed)


def main() -> None:
    """Run the command line; a refusal is a message and exit code 1, not a traceback."""
    try:
        app(prog_name="cartwright")
    except Refusal as refusal:
        line = f"[red]✗[/] {escape(str(refusal))}"
        Console(stderr=True, highlight=False).print(line, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
