"""`cartwright subscriber`: give another system its access to events, show it, take it away."""

import os
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table

from cartwright import access
from cartwright.refusals import Refusal

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
Url = Annotated[
    str, typer.Option("--url", envvar="CARTWRIGHT_URL", help="The gateway, for the HTTP feed.")
]
Token = Annotated[
    str,
    typer.Option(
        "--token",
        envvar="CARTWRIGHT_TOKEN",
        help="Your access token (permission ops:write); or log in by EMAIL and PASSWORD.",
    ),
]
Name = Annotated[str, typer.Argument(help="The other system: a-z, 0-9 and _.")]


@app.command()
def add(
    name: Name,
    api: Api,
    amqp: Amqp = "",
    url: Url = "",
    token: Token = "",
    queue: Annotated[list[str] | None, typer.Option(help="A queue to make; once for each.")] = None,
    type_: Annotated[
        list[str] | None, typer.Option("--type", help="What it may read of the feed: orders.*")
    ] = None,
    max_length: Annotated[
        int, typer.Option(min=1, help="Events a queue keeps before its oldest are dropped.")
    ] = 100_000,
) -> None:
    """Make a broker user and queues for another system, and a token for the feed.

    Prints both as shell exports, once: they are stored nowhere else. Adding a system again gives it
    a new password and token; what waits in its queues stays. Without --url it gets no token.
    """
    granted = access.broker(api, amqp).add(name, queue or ["events"], max_length)
    print(f"export CARTWRIGHT_AMQP_URL={granted.url}")
    told.print(f"[green]✓[/] {name} may hear events on ext.{name}.{granted.queue}")
    if not url:
        told.print("  no --url: no token for the feed")
        return
    body = {"types": type_ or ["*"], "reason": "cartwright subscriber add"}
    made = _feed(url, token, "PUT", name, body).json()
    print(f"export CARTWRIGHT_FEED_TOKEN={made['token']}")
    told.print(f"[green]✓[/] {name} may read {', '.join(made['types'])} of {url}/v1/events")


@app.command("list")
def show(api: Api) -> None:
    """List the other systems that have a user on the broker, and what waits for them."""
    broker = access.broker(api)
    table = Table("system", "queue", "waiting", "dead", box=None)
    for system in broker.systems():
        counts = broker.waiting(system)
        for queue in (name for name in counts if name.count(".") == access.DOTS_OF_A_QUEUE):
            dead = counts.get(f"{queue}.dead", 0)
            table.add_row(system, queue, str(counts[queue]), f"[red]{dead}[/]" if dead else "0")
    Console(highlight=False).print(table)


@app.command()
def remove(name: Name, api: Api, url: Url = "", token: Token = "") -> None:
    """Take a system's user, queues and token away, with all that waits in them."""
    for queue in access.broker(api).remove(name):
        told.print(f"  removed {queue}")
    if url:
        _feed(url, token, "DELETE", name)
    told.print(f"[green]✓[/] {name} hears nothing any more")


def _log_in(url: str) -> str:
    """An access token for CARTWRIGHT_EMAIL and CARTWRIGHT_PASSWORD."""
    login = {name: os.environ.get(f"CARTWRIGHT_{name.upper()}") for name in ("email", "password")}
    if None in login.values():
        raise Refusal(
            "the feed needs to know you: set CARTWRIGHT_TOKEN, or CARTWRIGHT_EMAIL and "
            "CARTWRIGHT_PASSWORD; or leave out --url."
        )
    answer = httpx.post(f"{url.rstrip('/')}/v1/auth/login", json=login, timeout=30)
    if answer.is_error:
        raise Refusal(f"the login was refused: {answer.status_code} {answer.text}")
    return str(answer.json()["access_token"])


def _feed(
    url: str, token: str, method: str, name: str, body: dict[str, Any] | None = None
) -> httpx.Response:
    """Ask the feed's admin routes; raises Refusal with what it said."""
    try:
        token = token or _log_in(url)
        answer = httpx.request(
            method,
            f"{url.rstrip('/')}/v1/admin/subscribers/{name}",
            json=body,
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        )
    except httpx.HTTPError as error:
        raise Refusal(f"the gateway {url} does not answer: {error}") from None
    if answer.is_error and not (method == "DELETE" and answer.status_code == httpx.codes.NOT_FOUND):
        raise Refusal(f"the feed refused: {answer.status_code} {answer.text}")
    return answer
