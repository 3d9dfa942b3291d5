"""The commands of the operations documents, run as they stand there, and what they are to achieve."""

import asyncio
import json
import re

import httpx
import pytest
from composition import Composition, docker
from pasting import Operator, blocks, sells

from shopfloor import ok, sign_in, until
from suite.environment import ADMIN_EMAIL

pytestmark = pytest.mark.thorough


def replicas(composition: Composition, service: str) -> list[str]:
    """The containers of a service that run."""
    return composition.project.run("ps", "-q", service).split()


def running(composition: Composition, services: list[str]) -> list[str]:
    """The container of each service."""
    return [composition.container(name) for name in services]


def test_the_first_lines_are_those_the_tests_put_their_own_in_place_of() -> None:
    (setup,) = blocks("README.md")
    assert setup.splitlines()[0].startswith("ENV=deploy/.env SECRETS=deploy/secrets SHOP=")
    assert setup.splitlines()[1].startswith("compose() {")
    assert setup.splitlines()[-1].startswith("ready() {")


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
    dump, restore, reconcile = blocks("backup.md")
    unpaid = await sells(http, composition)
    await asyncio.to_thread(operator.pastes, dump)
    lost = await sells(http, composition)
    await asyncio.to_thread(operator.pastes, restore)
    await asyncio.to_thread(composition.wait_healthy, "orders")
    token = await sign_in(http, ADMIN_EMAIL, composition.password)
    headers = {"Authorization": f"Bearer {token}"}
    assert ok(await http.get(f"/v1/admin/sagas/{unpaid}", headers=headers))["stage"] == "completed"
    answer = await http.get(f"/v1/admin/sagas/{lost}", headers=headers)
    assert answer.status_code == 404, answer.text
    await sells(http, composition)
    output = await asyncio.to_thread(operator.pastes, reconcile)
    assert "paid_without_order" in output
    assert "hold_without_order" in output

    async def agrees() -> bool:
        again = "cartwright reconcile --since 1d --settled 0 --json || true"
        return json.loads(await asyncio.to_thread(operator.pastes, again)) == []

    await until(agrees, 120)


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
    await asyncio.to_thread(operator.pastes, upgrade)
    images = {
        docker("inspect", "-f", "{{.Config.Image}}", c) for c in running(composition, services)
    }
    assert images == {f"cartwright/{name}:next" for name in services}
    await sells(http, composition)
    # Back again, for two of them: the others are newer than they are, as in a rolling upgrade.
    back = upgrade.replace("VERSION=next", "VERSION=test").replace(" ".join(services), "orders")
    back = re.sub(
        r"^compose up .*$",
        "compose up --detach --no-deps orders inventory",
        back,
        flags=re.MULTILINE,
    )
    await asyncio.to_thread(operator.pastes, back)
    images = {
        docker("inspect", "-f", "{{.Config.Image}}", c) for c in running(composition, services)
    }
    assert {"cartwright/orders:test", "cartwright/cart:next"} < images
    await sells(http, composition)
    token = await sign_in(http, ADMIN_EMAIL, composition.password)
    found = await http.get(f"/v1/admin/sagas/{order}", headers={"Authorization": f"Bearer {token}"})
    assert ok(found)["stage"] == "completed"
