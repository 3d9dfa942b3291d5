"""Each image is small, names its version, runs without privileges, and holds nothing to build or install with."""

import pytest
from composition import docker, inspected

from engine.images import TOOLS
from suite import repository

SERVICES = repository.services(repository.ROOT)
IMAGES = [*SERVICES, *TOOLS, "gateway"]
MEGABYTE = 1_000_000
# `command -v` prints the path of each it finds.
BUILD_TOOLS = "gcc cc g++ make ld git pip pip3 curl wget"


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_small_and_labelled(name: str) -> None:
    image = inspected(f"cartwright/{name}:test")
    assert image["Size"] <= 250 * MEGABYTE, image["Size"] / MEGABYTE
    labels = image["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == f"cartwright-{name}"
    assert labels["org.opencontainers.image.version"] == "test"
    assert len(labels["org.opencontainers.image.revision"]) == 12
    assert image["Config"]["User"] == "10001:10001"
    assert image["Config"]["Healthcheck"]["Test"][0] == "CMD"


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_holds_no_build_tools_and_no_tests(name: str) -> None:
    # The one certificate file is the list of public authorities that httpx trusts.
    keys = "-name '*.pem' -not -path '*/certifi/cacert.pem'"
    script = f"command -v {BUILD_TOOLS}; find /app -name tests -o {keys} -o -name .env; id -u"
    ours = ("run", "--rm", "--network", "none", "--read-only", "--entrypoint", "sh")
    # /app/venv/bin is first on the PATH, the system's own folders follow.
    assert docker(*ours, f"cartwright/{name}:test", "-c", script) == "10001"


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_holds_one_service(name: str) -> None:
    listing = docker(
        "run", "--rm", "--network", "none", "--entrypoint", "sh", f"cartwright/{name}:test",
        "-c", "ls /app/libs /app/service",
    )  # fmt: skip
    found = set(listing.split())
    assert {"contracts", "chassis", name, "migrations"} <= found
    assert found & set(SERVICES) == {name}


def test_the_layers_of_the_dependencies_are_shared() -> None:
    layers = [inspected(f"cartwright/{name}:test")["RootFS"]["Layers"] for name in SERVICES]
    shared = {tuple(each[:2]) for each in layers}
    assert len(shared) == 1
