"""The suite in containers on the private engine, as the compose file describes it."""

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
import watching
from composition import PATIENT, Composition
from pasting import Operator

from shopfloor import Staff, sign_in
from suite import compose, repository, service_list
from suite.compose import Project
from suite.environment import ADMIN_EMAIL
from suite.refusals import Refusal

# Seconds a test may take; the first one also brings the composition or the pods up.
LIMIT = 3600


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--all` runs what a first look leaves out."""
    help_text = "also outages of every kind and each command of docs/operations"
    parser.addoption("--all", action="store_true", help=help_text)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is thorough, and have one of pods and composition run at a time."""
    for item in items:
        item.add_marker(pytest.mark.timeout(LIMIT))
    if not config.getoption("--all"):
        left_out = [item for item in items if item.get_closest_marker("thorough")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    # The composition stays up from its first test to the last of all.
    items.sort(key=lambda item: "composition" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def engine_folder() -> Path:
    """Where the runner stores the engine; the tests do not run without it."""
    folder = os.environ.get("ENGINE_FOLDER")
    if not folder:
        raise RuntimeError("ENGINE_FOLDER is not set: run these tests with `make test-deploy`")
    return Path(folder)


@pytest.fixture(scope="session")
def services() -> list[str]:
    """Every service of the working tree."""
    return repository.services(repository.ROOT)


@pytest.fixture(scope="session")
def gateway_settings(engine_folder: Path) -> Path:
    """The gateway's tracked settings, without the limits a test would run into."""
    settings = json.loads((repository.ROOT / "deploy/gateway/settings.json").read_text())
    limits = {"rate_limit_per_address": 0, "rate_limit_per_principal": 0, "seconds": {"keys": 1}}
    file = engine_folder / "gateway.json"
    file.write_text(json.dumps(settings | limits))
    file.chmod(0o644)
    return file


@pytest.fixture(scope="session")
def composition(
    engine_folder: Path,
    gateway_settings: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Composition]:
    """The whole suite, with `--all` what watches it too, up; gone with its volumes afterwards."""
    # With secrets of its own: what an earlier run rotated is not the beginning.
    shutil.rmtree(engine_folder / "compose", ignore_errors=True)
    files: tuple[Path, ...] = (compose.FILE,)
    settings = {"GATEWAY_SETTINGS": str(gateway_settings)}
    everything: tuple[str, ...] = ()
    if request.config.getoption("--all"):
        waits = watching.hurried(engine_folder / "compose" / "watching")
        files += (watching.FILE, waits)
        settings |= watching.settings(waits.parent)
        everything = ("--profile", "observability")
    project = Project(
        repository.ROOT, engine_folder / "compose", name="cartwright-test", files=files
    )
    secrets = project.prepare(service_list.load(repository.ROOT).values(), **settings)
    remove(project, *everything)
    parts = set(project.run(*everything, "config", "--services").split())
    try:
        project.run(*everything, "up", "--detach", "--no-build", *(parts - watching.NOT_TO_BE_HAD))
        running = Composition(project, secrets["admin:password"])
        running.wait_served()
        yield running
    finally:
        logs = engine_folder / "compose.log"
        logs.write_text(project.run("logs", "--no-color", "--timestamps"))
        project.run(*everything, "kill")
        remove(project, *everything)


def remove(project: Project, *options: str) -> None:
    """Remove a composition with its volumes.

    What compose cannot remove yet, as a network that was in use a moment ago, the engine does.
    """
    with contextlib.suppress(Refusal):
        project.run(*options, "down", "--volumes", "--remove-orphans")


@pytest_asyncio.fixture
async def http(composition: Composition) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the gateway."""
    async with httpx.AsyncClient(base_url=composition.url, timeout=PATIENT) as client:
        yield client


@pytest_asyncio.fixture
async def staff(http: httpx.AsyncClient, composition: Composition) -> Staff:
    """Staff with every permission, in a shop that is open."""
    made = Staff(http, await sign_in(http, ADMIN_EMAIL, composition.password))
    await asyncio.wait_for(made.open_shop(), 60)
    return made


@pytest.fixture
def operator(composition: Composition) -> Operator:
    """The one who operates it."""
    return Operator(composition)
