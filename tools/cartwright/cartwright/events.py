"""`cartwright events`: follow published events, send a test event, verify a subscriber."""

import asyncio
import json
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import typer
from aiormq.exceptions import AMQPError
from rich.console import Console
from rich.table import Table

from cartwright import rehearsal
from cartwright.passwords import refuse_in_arguments
from cartwright.refusals import Refusal
from contracts import catalogue, registry, structured
from contracts.message import Event
from subscriber import Log, Logged
from subscriber.log import LogEnded, Start

app = typer.Typer(
    help="Follow events, send a test event to your queue, verify a subscriber.",
    no_args_is_help=True,
)
Result = TypeVar("Result")
stderr = Console(stderr=True, highlight=False)

Amqp = Annotated[
    str,
    typer.Option(
        "--amqp",
        envvar="CARTWRIGHT_AMQP_URL",
        help="The broker with your user (`cartwright subscriber add` prints it); from the "
        "environment, since arguments are public on a machine.",
        metavar="amqp://USER:PASSWORD@HOST:PORT/VHOST",
        callback=refuse_in_arguments,
        show_envvar=True,
    ),
]
Queue = Annotated[str, typer.Option(help="Your queue: the NAME of ext.<system>.NAME.")]
Types = Annotated[
    list[str] | None,
    typer.Option("--type", help="orders.OrderPlaced or orders.*; may be repeated. Default: all."),
]


@app.command()
def tail(
    amqp: Amqp,
    type_: Types = None,
    subject: Annotated[str, typer.Option(help="Only of this aggregate, such as an order.")] = "",
    since: Annotated[
        str, typer.Option(help="Begin 90s, 10m, 2h or 7d ago, or at the `first` event.")
    ] = "",
    count: Annotated[int, typer.Option(min=0, help="End after this number; 0 never ends.")] = 0,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print whole events as JSON.")] = False,
) -> None:
    """Show events as services publish them, or from the log; Ctrl-C ends it."""
    patterns = [_pattern(each) for each in type_ or []]
    start = _start(since)

    async def follow() -> None:
        shown = 0
        async for batch in Log(amqp).read(start):
            for each in batch:
                if not _matches(each, patterns, subject):
                    continue
                print(_json(each) if as_json else _line(each), flush=True)
                shown += 1
                if shown == count:
                    return

    _run(follow())


@app.command()
def trigger(
    name: Annotated[str, typer.Argument(help="The event, such as orders.OrderPlaced.")],
    amqp: Amqp,
    queue: Queue = "events",
    field: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=JSON, a field's value; may be repeated.")
    ] = None,
    sequence: Annotated[int, typer.Option(min=1, help="Its number in its aggregate.")] = 1,
    *,
    show: Annotated[bool, typer.Option("--show", help="Print it without sending it.")] = False,
) -> None:
    """Send an event built from its example, to your own queue alone."""
    entry = _entry(name)
    try:
        event = rehearsal.event_of(entry, rehearsal.changes(field or []), sequence)
    except ValueError as error:
        raise Refusal(f"that is no {entry.name}: {error}") from None
    if show:
        print(structured.write(*event).decode())
        return
    _run(rehearsal.send(amqp, queue, [event]))
    stderr.print(f"[green]✓[/] {entry.name} {event[0].id} is in ext.…{queue}")


@app.command()
def verify(
    amqp: Amqp,
    probe: Annotated[
        str,
        typer.Option(
            help="A shell command that prints your system's state of {subject}; it must not "
            "mention the subject before the first event."
        ),
    ],
    type_: Annotated[
        list[str],
        typer.Option("--type", help="The events to send, in order; may be repeated."),
    ],
    queue: Queue = "events",
    within: Annotated[
        float, typer.Option(min=1, help="Seconds your system may take to settle.")
    ] = 30.0,
    seed: Annotated[int, typer.Option(help="Seed of the shuffling; printed, to repeat a run.")] = 1,
) -> None:
    """Verify that duplicates, late events and reordering leave a subscriber in the same state.

    Your subscriber must be running. Each variant sends the same history for a new aggregate; what
    the probe prints, without the aggregate's id, must become equal to the plain history's.
    """
    entries = [_entry(name) for name in type_]
    if len({entry.message.source() for entry in entries}) != 1:
        raise Refusal("every --type must be of one aggregate: together they are its history.")
    stderr.print(f"  seed {seed}")
    run = rehearsal.Rehearsal(amqp, queue, entries, probe, within, seed)
    results = _run(run.all(lambda name: stderr.print(f"  · {name} …")))
    table = Table("variant", "result", "what the probe printed", box=None)
    for result in results:
        mark = "[green]✓ equal[/]" if result.is_equal else "[red]✗ differs[/]"
        table.add_row(result.name, mark, result.state.strip() or "(nothing)")
    Console(highlight=False).print(table)
    if not all(result.is_equal for result in results):
        raise typer.Exit(1)


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine; raises Refusal for an error of the broker."""
    try:
        return asyncio.run(work)
    except (AMQPError, LogEnded, OSError) as error:
        raise Refusal(f"the broker: {error or type(error).__name__}") from None


def _entry(name: str) -> catalogue.Entry:
    entry = catalogue.find(name)
    if entry is not None and issubclass(entry.message, Event):
        return entry
    known = sorted(
        message.routing_key()
        for message in registry.all_messages().values()
        if issubclass(message, Event)
    )
    raise Refusal(f"there is no event {name}. There are: {', '.join(known)}")


def _pattern(wanted: str) -> str:
    owner, _, name = wanted.partition(".")
    if not name:
        raise Refusal(f"{wanted}: a type is `orders.OrderPlaced` or `orders.*`.")
    return f"cartwright.{owner}." if name == "*" else f"cartwright.{wanted}."


def _matches(event: Logged, patterns: list[str], subject: str) -> bool:
    name = f"{event.envelope.type}."
    of_type = not patterns or any(name.startswith(pattern) for pattern in patterns)
    return of_type and subject in ("", event.envelope.subject)


def _start(since: str) -> Start:
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    if not since:
        return "next"
    if since == "first":
        return None
    if since[:-1].isdecimal() and since[-1] in units:
        return datetime.now(UTC) - timedelta(**{units[since[-1]]: int(since[:-1])})
    raise Refusal(f"--since {since}: write 90s, 10m, 2h, 7d or first.")


def _json(event: Logged) -> str:
    return structured.write(event.envelope, event.data).decode()


def _line(event: Logged) -> str:
    envelope = event.envelope
    name = envelope.type.removeprefix("cartwright.")
    data = json.dumps(json.loads(event.data), ensure_ascii=False, separators=(",", ":"))
    return f"{envelope.time:%H:%M:%S.%f} {name:<36} {envelope.subject} #{envelope.sequence} {data}"
