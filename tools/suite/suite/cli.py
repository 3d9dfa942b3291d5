"""The commands of the runner: up, down, status, logs, test, bench, topology, env and more."""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from suite import (
    api_document,
    composed,
    logs,
    repository,
    sdk,
    status_table,
    testing,
    topology,
    welcome,
)
from suite.bench import options as bench_options
from suite.definitions import TRACKED
from suite.environment import as_exports
from suite.instance import Instance
from suite.refusals import NotRunning, Refusal

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
console = Console(highlight=False)
RUN = repository.ROOT / ".run"

Folder = Annotated[
    Path, typer.Option("--dir", help="The instance's folder: ports, secrets, logs and data.")
]
Service = Annotated[str, typer.Argument(help="A process as `status` lists it.")]


def step(line: str) -> None:
    """Show one step that was done."""
    console.print(f"  [dim]·[/] {line}", markup=True)


def instance(folder: Path) -> Instance:
    """Return the instance in a folder, telling its steps."""
    return Instance(folder, report=step)


@app.command()
def up(folder: Folder = RUN / "up") -> None:
    """Start everything, wait until it is ready, seed the shop and place a first order."""
    if composed.is_chosen(repository.ROOT, step):
        address, password = composed.up(repository.ROOT, step)
        servers = ""
    else:
        suite = instance(folder)
        suite.start()
        address, password = suite.url("gateway"), suite.environment.secrets["admin:password"]
        servers = f"RabbitMQ management: {suite.environment.broker.management_url}\n"
    importlib.import_module("suite.shop").open_for_business(address, password, step)
    welcome.tell(console, address, password, servers)


@app.command()
def down(folder: Folder = RUN / "up") -> None:
    """Stop everything and leave nothing running; the data stays."""
    composed.takes(repository.ROOT, "down")
    instance(folder).stop()
    console.print("Nothing of the suite is running. `make up` starts it again with its data.")


@app.command()
def status(folder: Folder = RUN / "up") -> None:
    """Show every process: its state, pid, port, age, restarts and memory."""
    if composed.takes(repository.ROOT, "ps"):
        return
    try:
        console.print(status_table.of(instance(folder)))
    except NotRunning:
        console.print("The suite is not running: `make up` starts it.")
        raise typer.Exit(3) from None


@app.command(name="logs")
def follow(
    service: Annotated[
        str, typer.Argument(help="A process as `status` lists it; all without.")
    ] = "",
    folder: Folder = RUN / "up",
    *,
    lines: Annotated[int, typer.Option(help="How many lines of the past to show first.")] = 50,
    follow: Annotated[bool, typer.Option(help="Keep showing what is added.")] = True,
) -> None:
    """Show and follow the log of one process, or of all."""
    chosen = [*(["--follow"] if follow else []), *([service] if service else [])]
    if not composed.takes(repository.ROOT, "logs", "--tail", str(lines), *chosen):
        logs.show(instance(folder).logs, service, lines=lines, follow=follow)


@app.command()
def restart(service: Service, folder: Folder = RUN / "up") -> None:
    """Stop one process in good order and start it again, with the code as it is now."""
    anew = ("up", "--detach", "--build", "--force-recreate", "--no-deps", service)
    if not composed.takes(repository.ROOT, *anew):
        instance(folder).restart(service)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def test(context: typer.Context) -> None:
    """Run pytest on servers of its own; what stands after `--` goes to pytest."""
    raise typer.Exit(testing.run(repository.ROOT, RUN / "test", context.args, step))


@app.command()
def faults(
    *,
    seed: Annotated[
        int, typer.Option(help="What all chance is drawn from; drawn anew without.")
    ] = 0,
    part: Annotated[str, typer.Option(help="Only a part, as in 1/4.")] = "",
    only: Annotated[str, typer.Option(help="Only what matches, as pytest's -k.")] = "",
    page: Annotated[
        bool, typer.Option("--page", help="Run nothing; tell in docs what was counted so far.")
    ] = False,
    folder: Annotated[Path, typer.Option(help="Where its servers live.")] = RUN / "faults",
) -> None:
    """Attack a suite of its own in every way the tests know; half an hour on two cores."""
    load = importlib.import_module("suite.attacks")
    if page:
        load.write_page(folder)
    else:
        raise typer.Exit(load.run(folder, seed, part, only, step))


@app.command(name="topology")
def write_topology(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Only compare; 1 when it differs.")
    ] = False,
) -> None:
    """Write what follows from the messages the services handle and send.

    That is the broker's definitions, the messages' consumers and their AsyncAPI document.
    """
    current = topology.files(repository.services(repository.ROOT))
    outdated = topology.outdated(repository.ROOT, current)
    if check and outdated:
        names = " and ".join(map(str, outdated))
        raise Refusal(f"{names}: not what the services handle; `make topology` writes it.")
    for file in outdated:
        (repository.ROOT / file).write_text(current[file])
        console.print(f"{file} is written.")
    asyncapi = importlib.import_module("contracts.asyncapi")
    if asyncapi.is_current():
        console.print(f"{TRACKED} is what the services handle and send.")
    elif check:
        raise Refusal("the AsyncAPI document is not current: `make topology` writes it.")
    else:
        asyncapi.FILE.write_text(asyncapi.text())
        console.print(f"{asyncapi.FILE.name} is written; `make up` brings all to the broker.")


@app.command(name="openapi")
def write_openapi(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Only compare the index; 1 when it differs.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Where the document goes.")] = RUN / "openapi.json",
) -> None:
    """Write the OpenAPI document of the whole API, and the tracked index of its operations."""
    told = api_document.of_services(repository.services(repository.ROOT))
    document = api_document.merged(repository.ROOT, told)
    index, file = api_document.index(document), repository.ROOT / api_document.INDEX
    if check:
        if not file.exists() or file.read_text() != index:
            raise Refusal(
                f"{api_document.INDEX} differs from the routes: `make openapi` writes it."
            )
        console.print(f"{api_document.INDEX} is what the services offer.")
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(document, indent=1) + "\n")
    file.write_text(index)
    console.print(
        f"{out} and {api_document.INDEX} are written: {len(index.splitlines())} operations."
    )


@app.command(name="sdk")
def build_sdk() -> None:
    """Generate, build and check the client libraries of `sdk/` from the API's document."""
    clients = sdk.Sdk(repository.ROOT, step)
    clients.build()
    clients.check_python()
    console.print("The clients are built: sdk/dist holds the wheel and the npm package.")


@app.command()
def migration(
    service: Annotated[str, typer.Argument(help="The service whose models have changed.")],
    message: Annotated[str, typer.Argument(help='What changes, as in "add lines".')],
    folder: Folder = RUN / "up",
) -> None:
    """Write a new migration from what a service's models say and its database does not have."""
    suite = instance(folder)
    suite.start(servers_only=True)
    home = repository.ROOT / "services" / service
    command = [sys.executable, "-m", service, "revision", "-m", message]
    settings = suite.environment.of_migration(service)
    raise typer.Exit(subprocess.run(command, cwd=home, env=settings, check=False).returncode)


@app.command()
def env(
    service: Annotated[
        str, typer.Argument(help="A service, or `operator`; without it what tests need.")
    ] = "",
    folder: Folder = RUN / "up",
) -> None:
    """Print the settings of a service, the operator or tests as shell exports, with passwords."""
    environment = instance(folder).environment
    match service:
        case "":
            chosen = environment.of_tests()
        case "operator":
            chosen = environment.of_operator()
        case _:
            chosen = environment.of_service(service)
    print(as_exports(chosen))


@app.command()
def url(
    name: Annotated[str, typer.Argument(help="gateway, mailcatcher, orders, …")] = "gateway",
    folder: Folder = RUN / "up",
) -> None:
    """Print the base address of the gateway, or of one process."""
    in_compose = name == "gateway" and composed.is_up(repository.ROOT)
    print(composed.gateway(repository.ROOT) if in_compose else instance(folder).url(name))


@app.command()
def servers(folder: Folder = RUN / "up") -> None:
    """Start PostgreSQL and RabbitMQ alone, to run a service or its tests by hand."""
    instance(folder).start(servers_only=True)


bench_options.add_to(app, RUN, console, step)


@app.command()
def clean() -> None:
    """Stop everything of this working tree and remove its data, logs and secrets."""
    for folder in ("up", "test", "bench", "faults", "faults/crash_points"):
        for each in (RUN / folder / "whole", RUN / folder):
            Instance(each).wipe()
    composed.clean(repository.ROOT)
    shutil.rmtree(RUN, ignore_errors=True)
    console.print("`.run/` is gone, and nothing of it is running.")


def main() -> None:
    """Run the command line; a refusal is a message and exit code 1, not a traceback."""
    try:
        app(prog_name="python -m suite")
    except Refusal as refusal:
        Console(stderr=True, highlight=False).print(f"[red]✗[/] {refusal}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
