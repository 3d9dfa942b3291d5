"""The command line: `python -m bench`; it writes `.run/bench.json`, and runs in `.run/bench`."""

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from bench import command
from bench.target import Target
from suite import repository
from suite.command_line import run

app = typer.Typer(add_completion=False)
RUN = repository.ROOT / ".run"


@app.command()
def bench(
    *,
    url: Annotated[str, typer.Option(help="The gateway of a running suite.")] = "",
    instance_folder: Annotated[
        Path | None,
        typer.Option("--instance", help="The folder of a running instance, to measure its CPU."),
    ] = None,
    admin_email: Annotated[str, typer.Option(help="Its administrator.")] = "",
    admin_password: Annotated[str, typer.Option(envvar="ADMIN_PASSWORD")] = "",
    seconds: Annotated[float, typer.Option(min=0.5, help="Duration of each series.")] = 10.0,
    warm_up: Annotated[float, typer.Option(min=0.0, help="Seconds before each series.")] = 3.0,
    buyers: Annotated[str, typer.Option(help="Concurrent buyers of each series.")] = "1,8,32",
    rates: Annotated[
        str, typer.Option(help="Checkouts per second of each open-loop series.")
    ] = "10,40",
    products: Annotated[int, typer.Option(help="Products on sale.")] = 1000,
    only: Annotated[
        str,
        typer.Option(
            help="Parts separated by commas; omit it for all: rest, checkout, one-variant, "
            "open-loop, oversell, reading, messages, floors."
        ),
    ] = "",
    soak: Annotated[
        float,
        typer.Option(min=0, help="Measure memory over these minutes of checkouts instead."),
    ] = 0,
    soak_rate: Annotated[
        float, typer.Option(min=0.1, help="Checkouts per second during --soak.")
    ] = 5.0,
    out: Annotated[Path, typer.Option(help="The JSON file to write.")] = RUN / "bench.json",
    keep: Annotated[bool, typer.Option("--keep", help="Leave the instance running.")] = False,
) -> None:
    """Measure checkouts through the gateway, and their cost, on an instance of its own."""
    plan = command.plan_of(
        seconds=seconds,
        warm_up=warm_up,
        buyers=buyers,
        rates=rates,
        products=products,
        only=only,
        soak=soak,
        soak_rate=soak_rate,
    )
    if url or instance_folder:
        running = command.running(instance_folder, url, admin_email, admin_password)
        chosen: contextlib.AbstractContextManager[Target] = contextlib.nullcontext(running)
    else:
        chosen = command.own_instance(RUN / "bench", keep=keep)
    with chosen as target:
        command.bench(target, plan, out)


run(app, "python -m bench")
