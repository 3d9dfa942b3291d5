"""The options of the `bench` command; importing them imports none of the driver's packages."""

import contextlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def add_to(app: typer.Typer, run: Path, console: Console, step: Callable[[str], None]) -> None:
    """Add the command; `run` is the folder for its instance and its results."""

    @app.command()
    def bench(
        *,
        url: Annotated[str, typer.Option(help="The gateway of a running suite.")] = "",
        instance_folder: Annotated[
            Path | None,
            typer.Option(
                "--instance", help="The folder of a running instance, to measure its CPU."
            ),
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
        out: Annotated[Path, typer.Option(help="The JSON file to write.")] = run / "bench.json",
        keep: Annotated[bool, typer.Option("--keep", help="Leave the instance running.")] = False,
    ) -> None:
        """Measure checkouts through the gateway, and their cost, on an instance of its own."""
        # Imported here, because every other command would load the driver's packages too.
        load = importlib.import_module("suite.bench.command")
        plan = load.plan_of(
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
            target = contextlib.nullcontext(
                load.running(instance_folder, url, admin_email, admin_password)
            )
        else:
            target = load.own_instance(run / "bench", keep=keep, step=step)
        load.bench(target, plan, out, console, step)
