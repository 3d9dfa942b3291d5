"""The commands of the operations documents, run as they stand there, and what they are to achieve."""

import asyncio
import re
import shlex
import subprocess

import httpx
import pytest
from composition import Composition, buys, docker

from shopfloor import Buyer, Staff, ok, sign_in
from suite import repository
from suite.environment import ADMIN_EMAIL

DOCUMENTS = repository.ROOT / "docs/operations"
SHOP_WAITS = ("sleep 75", "sleep 3")


def blocks(document: str) -> list[str]:
    """A document's blocks of shell that are to be run."""
    text = (DOCUMENTS / document).read_text()
    found: list[str] = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    assert found, document
    return found


class Operator:
    """Somebody at the shell, who pastes from the documents."""

    def __init__(self, composition: Composition) -> None:
        self.composition = composition

    def pastes(self, *lines: str) -> str:
        """Run blocks one after the other in one shell; what they printed."""
        project = self.composition.project
        compose = shlex.join(project.command())
        prelude = [
            f"ENV={project.env_file} SECRETS={project.folder / 'secrets'}",
            f"SHOP={self.composition.url}",
            # A job asks nothing of a terminal, and there is none here.
            f'compose() {{ if [ "$1" = run ]; then shift; set -- run -T "$@"; fi; {compose} "$@"; }}',
            blocks("README.md")[0].splitlines()[-1],
        ]
        # The gateway keeps keys for a second here instead of a minute.
        script = "\n".join([*prelude, *lines]).replace(*SHOP_WAITS)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=project.folder,
            capture_output=True, text=True, check=False, timeout=400,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture
def operator(composition: Composition) -> Operator:
    """The one who operates it."""
    return Operator(composition)


async def sells(http: httpx.AsyncClient, composition: Composition) -> str:
    """Sell something; returns the order's id."""
    staff = Staff(http, await sign_in(http, ADMIN_EMAIL, composition.password))
    await staff.open_shop()
    order = await buys(Buyer(http, staff), await staff.sell(stock=2))
    return str(order["id"])


def replicas(composition: Composition, service: str) -> list[str]:
    """The containers of a service that run."""
    return composition.project.run("ps", "-q", service).split()


def test_the_first_lines_are_those_the_tests_put_their_own_in_place_of() -> None:
    (setup,) = blocks("README.md")
    assert setup.splitlines()[0].startswith("ENV=deploy/.env SECRETS=deploy/secrets SHOP=")
    assert setup.splitlines()[1].startswith("compose() {")
    assert setup.splitlines()[2].startswith("ready() {")


async def test_deploying_again_changes_nothing(
    operator: Operator, composition: Composition, http: httpx.AsyncClient
) -> None:
    before = composition.container("orders")
    await asyncio.to_thread(operator.pastes, *blocks("deploy.md"))
    assert composition.container("orders") == before
    await sells(http, composition)


async def test_two_of_a_service_serve_and_one_is_enough(
    operator: Operator, composition: Composition, http: httpx.AsyncClient
) -> None:
    more, fewer = blocks("scale.md")
    await asyncio.to_thread(operator.pastes, more)
    assert len(replicas(composition, "orders")) == len(replicas(composition, "inventory")) == 2
    await sells(http, composition)
    await asyncio.to_thread(operator.pastes, fewer)
    assert len(replicas(composition, "orders")) == 1
    await sells(http, composition)


async def test_a_service_comes_back_from_its_dump(
    operator: Operator, composition: Composition, http: httpx.AsyncClient
) -> None:
    dump, restore = blocks("backup.md")
    kept = await sells(http, composition)
    await asyncio.to_thread(operator.pastes, dump)
    lost = await sells(http, composition)
    await asyncio.to_thread(operator.pastes, restore)
    await asyncio.to_thread(composition.wait_healthy, "orders")
    token = await sign_in(http, ADMIN_EMAIL, composition.password)
    headers = {"Authorization": f"Bearer {token}"}
    assert ok(await http.get(f"/v1/admin/sagas/{kept}", headers=headers))["stage"] == "completed"
    answer = await http.get(f"/v1/admin/sagas/{lost}", headers=headers)
    assert answer.status_code == 404, answer.text
    await sells(http, composition)


async def test_passwords_and_keys_are_rotated_while_the_shop_is_open(
    operator: Operator, composition: Composition, http: httpx.AsyncClient
) -> None:
    passwords, publish, swap = blocks("rotate.md")
    old = composition.project.env_file.read_text()
    await asyncio.to_thread(operator.pastes, passwords)
    new = composition.project.env_file.read_text()
    changed = {line.partition("=")[0] for line in set(new.splitlines()) - set(old.splitlines())}
    assert changed == {"ORDERS_DATABASE_PASSWORD", "ORDERS_BROKER_PASSWORD"}
    await asyncio.to_thread(composition.wait_healthy, "orders")
    await sells(http, composition)

    token = await sign_in(http, ADMIN_EMAIL, composition.password)
    (first,) = await key_ids(http)
    await asyncio.to_thread(operator.pastes, publish)
    _, second = await key_ids(http)
    await asyncio.to_thread(operator.pastes, swap)
    assert await key_ids(http) == [second, first]
    # A token of the old key is good until it expires, and new ones are signed with the new key.
    assert (await http.get("/v1/me", headers={"Authorization": f"Bearer {token}"})).is_success
    await sells(http, composition)


async def key_ids(http: httpx.AsyncClient) -> list[str]:
    """The names of the published keys, the one that signs first."""
    return [key["kid"] for key in ok(await http.get("/.well-known/jwks.json"))["keys"]]


async def test_a_new_version_takes_over_and_the_old_one_comes_back(
    operator: Operator, composition: Composition, http: httpx.AsyncClient, services: list[str]
) -> None:
    for name in (*services, "provision", "gateway"):
        docker("tag", f"cartwright/{name}:test", f"cartwright/{name}:next")
    (upgrade,) = blocks("upgrade.md")
    order = await sells(http, composition)
    for version in ("next", "test"):
        pasted = upgrade.replace("VERSION=next", f"VERSION={version}")
        await asyncio.to_thread(operator.pastes, pasted)
        image = docker("inspect", "-f", "{{.Config.Image}}", composition.container("orders"))
        assert image == f"cartwright/orders:{version}"
        await asyncio.to_thread(composition.wait_healthy, *services)
        await sells(http, composition)
    token = await sign_in(http, ADMIN_EMAIL, composition.password)
    found = await http.get(f"/v1/admin/sagas/{order}", headers={"Authorization": f"Bearer {token}"})
    assert ok(found)["stage"] == "completed"
