"""Build the images and run the deployment tests on a private container engine."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import typer

from engine import bare, images, observers, private, readme, standins
from suite import repository
from suite.command_line import console, run

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
FOLDER = repository.ROOT / ".run/engine"
BARE = repository.ROOT / ".run/bare"
VERSION = "test"
TESTS = "deploy/tests"


def report(line: str) -> None:
    """Print one step with its start time."""
    console.print(f"  [dim]{time.strftime('%H:%M:%S')}[/] {line}")


def prepare(engine: private.Engine, *, watched: bool) -> None:
    """Build every image; unchanged layers come from the engine's cache."""
    with ThreadPoolExecutor() as pool:
        loading = pool.submit(standins.load, engine, FOLDER / "bases", report)
        wheels = images.download(repository.ROOT, FOLDER, report)
        loading.result()
    source = images.context(repository.ROOT, wheels, FOLDER / "context")
    services = repository.services(repository.ROOT)
    images.build(engine, source, services, VERSION, report)
    if watched:
        base = f"cartwright/{services[0]}:{VERSION}"
        observers.build(engine, repository.ROOT, FOLDER / "observers", base, report)


def environment(engine: private.Engine) -> dict[str, str]:
    """Return the environment variables of the tests: the engine and its images."""
    chosen = {
        "BASE_IMAGE": standins.PYTHON,
        "POSTGRES_IMAGE": standins.POSTGRES,
        "RABBITMQ_IMAGE": standins.RABBITMQ,
        "PROMETHEUS_IMAGE": observers.PROMETHEUS,
        "ALERTMANAGER_IMAGE": observers.ALERTMANAGER,
        "COLLECTOR_IMAGE": observers.COLLECTOR,
        "VERSION": VERSION,
        "ENGINE_FOLDER": str(FOLDER),
        "ENGINE_NAMESPACE": engine.namespace,
    }
    return engine.environment | chosen


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def test(context: typer.Context) -> None:
    """Build the images and run the deployment tests; arguments after `--` go to pytest."""
    # SIGTERM runs the context managers, which stop the engine.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with private.running(FOLDER) as engine:
        prepare(engine, watched="--all" in context.args)
        report("running the tests")
        pytest = engine.inside(sys.executable, "-m", "pytest", TESTS, *context.args)
        done = subprocess.run(pytest, cwd=repository.ROOT, env=environment(engine), check=False)
    raise typer.Exit(done.returncode)


@app.command(name="bare")
def follow_readme(
    *,
    release: Annotated[int, typer.Option(help="Debian 12 or 13; omit it for both.")] = 0,
    account: Annotated[str, typer.Option(help=f"root or {bare.USER}; omit it for both.")] = "",
    only: Annotated[str, typer.Option(help="up or test; omit it for both.")] = "",
) -> None:
    """Follow the README on bare systems; on the newest, run every test as root."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bare.require()
    BARE.mkdir(parents=True, exist_ok=True)
    releases = [release] if release else list(bare.CODENAMES)
    accounts = [account] if account else list(bare.HOMES)
    runs = [(readme.buy, each, name) for each in releases for name in accounts if only != "test"]
    if only != "up":
        runs.append((readme.test, max(releases), "root"))
    with private.locked(BARE):
        for follow, each, name in runs:
            report(f"Debian {each} as {name}")
            made = bare.base(BARE, each, report)
            with bare.running(made, BARE / f"{follow.__name__}-{each}-{name}") as system:
                follow(system, name, report)
    report("the README's commands work on bare systems")


@app.command()
def shell() -> None:
    """Build the images and open a shell in the private engine's network."""
    with private.running(FOLDER) as engine:
        prepare(engine, watched=True)
        program = os.environ.get("SHELL", "/bin/bash")
        subprocess.run(engine.inside(program), env=environment(engine), check=False)


if __name__ == "__main__":
    run(app, "python -m engine")
