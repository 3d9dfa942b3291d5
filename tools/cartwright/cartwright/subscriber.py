"""`cartwright subscriber`: grant other systems access to events, list it, revoke it."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cartwright import access
from cartwright.admin_api import connect
from cartwright.passwords import refuse_in_arguments

app = typer.Typer(
    help="Grant and revoke other systems' broker users, queues and access to the feed.",
    no_args_is_help=True,
)
stderr = Console(stderr=True, highlight=False)

Api = Annotated[
    str,
    typer.Option(
        "--broker-api",
        envvar="CARTWRIGHT_BROKER_API",
        help="The broker's management API with an administrator's login; from the environment, "
        "since arguments are public on a machine.",
        metavar="http://USER:PASSWORD@HOST:PORT",
        callback=refuse_in_arguments,
        show_envvar=True,
    ),
]
Amqp = Annotated[
    str,
    typer.Option(
        "--broker",
        envvar="CARTWRIGHT_BROKER",
        help="The broker as the other system reaches it; port 5672 of the API's host by default.",
        metavar="amqp://HOST:PORT",
    ),
]
FeedToo = Annotated[
    bool,
    typer.Option("--feed/--no-feed", help="Also its access to the HTTP feed, with your login."),
]
Name = Annotated[str, typer.Argument(help="The other system: a-z, 0-9 and _.")]


@app.command()
def add(
    name: Name,
    api: Api,
    amqp: Amqp = "",
    queue: Annotated[list[str] | None, typer.Option(help="A new queue; may be repeated.")] = None,
    type_: Annotated[
        list[str] | None, typer.Option("--type", help="Types it may read from the feed: orders.*")
    ] = None,
    max_length: Annotated[
        int, typer.Option(min=1, help="Events a queue holds before the oldest are dropped.")
    ] = 100_000,
    *,
    feed: FeedToo = True,
) -> None:
    """Create a broker user and queues for another system, and a token for the feed.

    Prints both as shell exports, once: they are stored nowhere else. Adding a system again issues
    a new password and token; its queues and their events stay.
    """
    with access.broker(api, amqp) as broker:
        granted = broker.add(name, queue or ["events"], max_length)
    print(f"export CARTWRIGHT_AMQP_URL={granted.url}")
    stderr.print(f"[green]✓[/] {name} may consume events from ext.{name}.{granted.queue}")
    for each in granted.unordered:
        stderr.print(
            f"[yellow]![/] {each} has no single active consumer and may deliver out of order after "
            "a lost connection: docs/subscribing.md explains how to replace it"
        )
    if feed:
        body = {"types": type_ or ["*"], "reason": "cartwright subscriber add"}
        admin = connect()
        made = admin.request("PUT", f"/v1/admin/subscribers/{name}", json=body).json()
        print(f"export CARTWRIGHT_FEED_TOKEN={made['token']}")
        stderr.print(
            f"[green]✓[/] {name} may read {', '.join(made['types'])} from {admin.url}/v1/events"
        )


@app.command("list")
def show(api: Api) -> None:
    """List the other systems with a broker user, and the events ready in their queues."""
    table = Table("system", "queue", "waiting", "dead", box=None)
    with access.broker(api) as broker:
        waiting = {system: broker.waiting(system) for system in broker.systems()}
    for system, counts in waiting.items():
        for queue in (name for name in counts if name.count(".") == access.DOTS_OF_A_QUEUE):
            dead = counts.get(f"{queue}.dead", 0)
            table.add_row(system, queue, str(counts[queue]), f"[red]{dead}[/]" if dead else "0")
    Console(highlight=False).print(table)


@app.command()
def remove(name: Name, api: Api, *, feed: FeedToo = True) -> None:
    """Delete a system's user, queues and token, with the events in its queues."""
    with access.broker(api) as broker:
        for queue in broker.remove(name):
            stderr.print(f"  removed {queue}")
    if feed:
        connect().request("DELETE", f"/v1/admin/subscribers/{name}")
    stderr.print(f"[green]✓[/] {name} has no access any more")
