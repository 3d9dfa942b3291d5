"""Run the whole suite on this machine: start, stop, test, attack."""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from suite import (
    api_document,
    compose,
    logs,
    new_service,
    plan,
    render,
    repository,
    sdk,
    status_table,
    testing,
    topology,
)
from suite.command_line import console, run, step
from suite.environment import ADMIN_EMAIL, as_exports
from suite.instance import Instance
from suite.processes import SEPARATE
from suite.refusals import NotRunning, Refusal
from suite.topology import TRACKED

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
RUN = repository.ROOT / ".run"

Folder = Annotated[
    Path, typer.Option("--dir", help="The instance's folder: ports, secrets, logs and data.")
]
Service = Annotated[str, typer.Argument(help="A process, as `status` lists it.")]


def instance(folder: Path) -> Instance:
    """Return the instance in a folder; it prints its steps."""
    return Instance(folder, report=step)


@app.command()
def up(
    folder: Folder = RUN / "up",
    layout: Annotated[
        str, typer.Option(envvar="LAYOUT", help="`packed`: two processes for all services.")
    ] = SEPARATE,
) -> None:
    """Start everything, wait until it is ready, seed the shop and place a first order."""
    if compose.is_chosen(repository.ROOT, step):
        address, password = compose.up(repository.ROOT, step)
        servers = ""
    else:
        suite = Instance(folder, report=step, layout=layout)
        suite.start()
        address, password = suite.url("gateway"), suite.environment.secrets["admin:password"]
        servers = f"RabbitMQ management: {suite.environment.broker.management_url}\n"
    importlib.import_module("suite.shop").seed_and_order(address, password, step)
    _print_addresses(address, password, servers)


def _print_addresses(address: str, password: str, servers: str) -> None:
    console.print(f"\nThe shop is up:      {address}")
    console.print(f"API documentation:   {address}/docs")
    console.print(f"Mail catcher:        {address}/mail/")
    console.print(f"{servers}Administrator:       {ADMIN_EMAIL} / {password}")
    console.print(
        "\n`make status` lists processes, `make logs S=orders` follows one, `make down` stops all."
    )


@app.command()
def down(folder: Folder = RUN / "up") -> None:
    """Stop everything; the data stays."""
    compose.run_if_up(repository.ROOT, "down")
    instance(folder).stop()
    console.print("The suite is stopped. `make up` starts it again with its data.")


@app.command()
def status(folder: Folder = RUN / "up") -> None:
    """Show every process: its state, pid, port, age, restarts and memory."""
    if compose.run_if_up(repository.ROOT, "ps"):
        return
    try:
        console.print(status_table.of(instance(folder)))
    except NotRunning:
        console.print("The suite is not running: `make up` starts it.")
        raise typer.Exit(3) from None


@app.command(name="logs")
def follow(
    service: Annotated[
        str, typer.Argument(help="A process, as `status` lists it; omit it for all.")
    ] = "",
    folder: Folder = RUN / "up",
    *,
    lines: Annotated[int, typer.Option(help="Earlier lines to show first.")] = 50,
    follow: Annotated[bool, typer.Option(help="Continue with new lines.")] = True,
) -> None:
    """Show and follow the log of one process, or of all."""
    chosen = [*(["--follow"] if follow else []), *([service] if service else [])]
    if not compose.run_if_up(repository.ROOT, "logs", "--tail", str(lines), *chosen):
        suite = instance(folder)
        name = suite.log(service).stem if service else ""
        logs.show(suite.logs, name, lines=lines, follow=follow)


@app.command()
def restart(service: Service, folder: Folder = RUN / "up") -> None:
    """Stop one process gracefully and start it with the current code."""
    recreate = ("up", "--detach", "--build", "--force-recreate", "--no-deps", service)
    if not compose.run_if_up(repository.ROOT, *recreate):
        suite = instance(folder)
        planned = suite.processes()
        process = planned[plan.holder(planned, service)]
        if len(process.services) > 1:
            step(f"{service} runs in {process.name}, with {', '.join(process.services)}")
        suite.restart(process.name)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def test(context: typer.Context) -> None:
    """Run pytest on its own servers; arguments after `--` go to pytest."""
    raise typer.Exit(testing.run(repository.ROOT, RUN / "test", context.args, step))


@app.command()
def faults(
    *,
    seed: Annotated[int, typer.Option(help="The random seed; omit it for a new one.")] = 0,
    part: Annotated[str, typer.Option(help="One part, such as 1/4.")] = "",
    only: Annotated[str, typer.Option(help="Only matching attacks, as pytest's -k.")] = "",
    page: Annotated[
        bool, typer.Option("--page", help="Run nothing; write the counts so far into docs.")
    ] = False,
    folder: Annotated[Path, typer.Option(help="The folder of its servers.")] = RUN / "faults",
) -> None:
    """Run the fault-injection tests on a suite of their own; half an hour on two cores."""
    load = importlib.import_module("suite.attacks")
    if page:
        load.write_page(folder)
    else:
        raise typer.Exit(load.run(folder, seed, part, only, step))


@app.command(name="topology")
def write_topology(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Compare only; exit code 1 on a difference.")
    ] = False,
) -> None:
    """Write the files derived from the messages that services handle and send.

    These are the broker's definitions, the consumers of each message and the AsyncAPI document.
    """
    current = topology.files(repository.services(repository.ROOT))
    outdated = topology.outdated(repository.ROOT, current)
    if check and outdated:
        names = " and ".join(map(str, outdated))
        raise Refusal(f"{names}: outdated; `make topology` writes it.")
    for file in outdated:
        (repository.ROOT / file).write_text(current[file])
        console.print(f"Wrote {file}.")
    asyncapi = importlib.import_module("contracts.asyncapi")
    if asyncapi.is_current():
        console.print(f"{TRACKED} is up to date.")
    elif check:
        raise Refusal("the AsyncAPI document is outdated: `make topology` writes it.")
    else:
        asyncapi.FILE.write_text(asyncapi.text())
        console.print(f"Wrote {asyncapi.FILE.name}; `make up` loads the topology into the broker.")


@app.command(name="render")
def write_rendered(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Compare only; exit code 1 on a difference.")
    ] = False,
) -> None:
    """Write the files that are rendered from services.toml."""
    current, left_over = render.files(repository.ROOT), render.left_over(repository.ROOT)
    outdated = topology.outdated(repository.ROOT, current)
    if check and (outdated or left_over):
        names = ", ".join(map(str, [*outdated, *left_over]))
        raise Refusal(f"outdated: {names}; `make render` writes them.")
    for file in outdated:
        (repository.ROOT / file).parent.mkdir(exist_ok=True)
        (repository.ROOT / file).write_text(current[file])
        console.print(f"Wrote {file}.")
    for folder in left_over:
        shutil.rmtree(repository.ROOT / folder)
        console.print(f"Removed {folder}.")
    if not outdated and not left_over:
        console.print("Everything rendered is up to date.")


@app.command(name="retention")
def write_retention(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Compare only; exit code 1 on a difference.")
    ] = False,
) -> None:
    """Write the table of the page about retention from the tables of the services."""
    # It imports the chassis, which takes longer to load than most commands run.
    retention = importlib.import_module("suite.retention")
    page = retention.page(repository.ROOT, repository.services(repository.ROOT))
    file = retention.PAGE
    outdated = topology.outdated(repository.ROOT, {file: page})
    if check and outdated:
        raise Refusal(f"{file}: outdated; `make retention` writes it.")
    (repository.ROOT / file).write_text(page)
    console.print(f"Wrote {file}." if outdated else f"{file} is up to date.")


@app.command(name="openapi")
def write_openapi(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Compare the index only; exit code 1 on a difference.")
    ] = False,
    out: Annotated[Path, typer.Option(help="The file to write.")] = RUN / "openapi.json",
) -> None:
    """Write the OpenAPI document of the whole API, and the tracked index of its operations."""
    documents = api_document.of_services(repository.services(repository.ROOT))
    document = api_document.merged(repository.ROOT, documents)
    index, file = api_document.index(document), repository.ROOT / api_document.INDEX
    if check:
        if not file.exists() or file.read_text() != index:
            raise Refusal(
                f"{api_document.INDEX} differs from the routes: `make openapi` writes it."
            )
        console.print(f"{api_document.INDEX} is up to date.")
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(document, indent=1) + "\n")
    file.write_text(index)
    console.print(f"Wrote {out} and {api_document.INDEX}: {len(index.splitlines())} operations.")


@app.command(name="sdk")
def build_sdk() -> None:
    """Generate, build and check the client libraries of `sdk/` from the API's document."""
    clients = sdk.Sdk(repository.ROOT, step)
    clients.build()
    clients.check_python()
    console.print("The clients are built: sdk/dist holds the wheel and the npm package.")


@app.command(name="service")
def write_service(
    name: Annotated[str, typer.Argument(help="The new service, as in `loyalty`.")],
) -> None:
    """Write a new service: one table, one route, one event, and their tests."""
    files = new_service.create(repository.ROOT, name, step)
    console.print(
        f"services/{name} is complete, {len(files)} files to change by hand; "
        f"its tests: `make test A=services/{name}`."
    )


@app.command()
def migration(
    service: Annotated[str, typer.Argument(help="The service whose models have changed.")],
    message: Annotated[str, typer.Argument(help='The change, such as "add lines".')],
    folder: Folder = RUN / "up",
) -> None:
    """Write a new migration from the difference between a service's models and its database."""
    suite = instance(folder)
    suite.start(servers_only=True)
    home = repository.ROOT / "services" / service
    command = [sys.executable, "-m", service, "revision", "-m", message]
    settings = suite.environment.of_migration(service)
    raise typer.Exit(subprocess.run(command, cwd=home, env=settings, check=False).returncode)


@app.command()
def env(
    service: Annotated[
        str, typer.Argument(help="A service, or `operator`; omit it for the tests.")
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
    """Print the base URL of the gateway, or of one process."""
    in_compose = name == "gateway" and compose.is_up(repository.ROOT)
    print(compose.gateway(repository.ROOT) if in_compose else instance(folder).url(name))


@app.command()
def servers(folder: Folder = RUN / "up") -> None:
    """Start PostgreSQL and RabbitMQ alone, to run a service or its tests by hand."""
    instance(folder).start(servers_only=True)


@app.command()
def clean() -> None:
    """Stop everything of this working tree and remove its data, logs and secrets."""
    for folder in ("up", "test", "bench", "faults", "faults/crash_points"):
        for each in (RUN / folder / "whole", RUN / folder):
            Instance(each).wipe()
    compose.clean(repository.ROOT)
    shutil.rmtree(RUN, ignore_errors=True)
    console.print("Stopped everything and removed `.run/`.")


def main() -> None:
    """Run the command line."""
    run(app, "python -m suite")
