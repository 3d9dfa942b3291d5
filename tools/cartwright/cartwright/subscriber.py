"""`cartwright subscriber`: give another system its access to events, show it, take it away."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cartwright import access
from cartwright.shop import connected

app = typer.Typer(
    help="Other systems: their broker user and queues, and their access to the feed.",
    no_args_is_help=True,
)
told = Console(stderr=True, highlight=False)

Api = Annotated[
    str,
    typer.Option(
        "--broker-api",
        envvar="CARTWRIGHT_BROKER_API",
        help="The broker's management API with an administrator's login.",
        metavar="http://USER:PASSWORD@HOST:PORT",
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
    typer.Option("--feed/--no-feed", help="Its access to the HTTP feed too, as who you are."),
]
Name = Annotated[str, typer.Argument(help="The other system: a-z, 0-9 and _.")]


@app.command()
def add(
    name: Name,
    api: Api,
    amqp: Amqp = "",
    queue: Annotated[list[str] | None, typer.Option(help="A queue to make; once for each.")] = None,
    type_: Annotated[
        list[str] | None, typer.Option("--type", help="What it may read of the feed: orders.*")
    ] = None,
    max_length: Annotated[
        int, typer.Option(min=1, help="Events a queue keeps before its oldest are dropped.")
    ] = 100_000,
    *,
    feed: FeedToo = True,
) -> None:
    """Make a broker user and queues for another system, and a token for the feed.

    Prints both as shell exports, once: they are stored nowhere else. Adding a system again gives it
    a new password and token; what waits in its queues stays.
    """
    with access.broker(api, amqp) as broker:
        granted = broker.add(name, queue or ["events"], max_length)
    print(f"export CARTWRIGHT_AMQP_URL={granted.url}")
    told.print(f"[green]✓[/] {name} may hear events on ext.{name}.{granted.queue}")
    for each in granted.unordered:
        told.print(
            f"[yellow]![/] {each} was made without a single active consumer and may deliver out of "
            "order after a lost connection: docs/subscribing.md says how to replace it"
        )
    if feed:
        body = {"types": type_ or ["*"], "reason": "cartwright subscriber add"}
        shop = connected()
        made = shop.request("PUT", f"/v1/admin/subscribers/{name}", json=body).json()
        print(f"export CARTWRIGHT_FEED_TOKEN={made['token']}")
        told.print(
            f"[green]✓[/] {name} may read {', '.join(made['types'])} of {shop.url}/v1/events"
        )


@app.command("list")
def show(api: Api) -> None:
    """List the other systems that have a user on the broker, and what waits for them."""
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
    """Take a system's user, queues and token away, with all that waits in them."""
    with access.broker(api) as broker:
        for queue in broker.remove(name):
            told.print(f"  removed {queue}")
    if feed:
        connected().request("DELETE", f"/v1/admin/subscribers/{name}")
    told.print(f"[green]✓[/] {name} hears nothing any more")
