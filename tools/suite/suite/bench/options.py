"""The options of the `bench` command; loading them loads none of the driver's packages."""

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
        url: Annotated[str, typer.Option(help="The gateway of a suite that runs already.")] = "",
        instance_folder: Annotated[
            Path | None,
            typer.Option("--instance", help="A running instance's folder: its CPU is seen too."),
        ] = None,
        admin_email: Annotated[str, typer.Option(help="Its administrator.")] = "",
        admin_password: Annotated[str, typer.Option(envvar="ADMIN_PASSWORD")] = "",
        seconds: Annotated[float, typer.Option(min=0.5, help="How long each series runs.")] = 10.0,
        warm_up: Annotated[float, typer.Option(min=0.0, help="Seconds before each series.")] = 3.0,
        buyers: Annotated[str, typer.Option(help="How many buyers, series by series.")] = "1,8,32",
        rates: Annotated[
            str, typer.Option(help="Checkouts begun a second in the open loop, series by series.")
        ] = "10,40",
        products: Annotated[int, typer.Option(help="How many products are put on sale.")] = 1000,
        only: Annotated[
            str,
            typer.Option(
                help="Parts with commas between, all without: rest, checkout, one-variant, "
                "open-loop, oversell, reading, messages, floors."
            ),
        ] = "",
        soak: Annotated[
            float, typer.Option(min=0, help="Instead, memory over so many minutes of checkouts.")
        ] = 0,
        soak_rate: Annotated[
            float, typer.Option(min=0.1, help="Checkouts begun a second during --soak.")
        ] = 5.0,
        out: Annotated[Path, typer.Option(help="Where the JSON goes.")] = run / "bench.json",
        keep: Annotated[bool, typer.Option("--keep", help="Leave the instance running.")] = False,
    ) -> None:
        """Measure checkouts through the gateway, and what they cost, on an instance of its own."""
        # Every command would wait for the driver's packages: they are loaded where they are used.
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
