"""`python -m provision`: idempotent, and changes passwords."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aio_pika
import aio_pika.exceptions
import asyncpg
import httpx
import pytest

from provision import broker
from suite import topology
from suite.instance import Instance
from suite.topology import TRACKED

Variables = dict[str, str]


def provision(tree: Path, settings: Variables) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "provision", "--definitions", str(tree / TRACKED)],
        env={"PATH": os.environ["PATH"], **settings},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def settings(suite: Instance, tree: Path) -> Iterator[Variables]:
    """Its settings for the running servers; restores the passwords afterwards."""
    known = suite.environment.secrets
    found = {
        "POSTGRES_URL": suite.dsn("postgres", "postgres"),
        "BROKER_API": suite.environment.broker.management_url,
        "BROKER_ADMIN_PASSWORD": known["broker:admin"],
        "MIGRATOR_DATABASE_PASSWORD": known["database:migrator"],
    }
    for name in ("baker", "waiter"):
        found[f"{name.upper()}_DATABASE_PASSWORD"] = known[f"database:{name}"]
        found[f"{name.upper()}_BROKER_PASSWORD"] = known[f"broker:{name}"]
    yield dict(found)
    assert provision(tree, found).returncode == 0


async def database_accepts(dsn: str) -> bool:
    try:
        await (await asyncpg.connect(dsn)).close()
    except asyncpg.InvalidPasswordError:
        return False
    return True


async def broker_accepts(url: str) -> bool:
    try:
        await (await aio_pika.connect(url)).close()
    except aio_pika.exceptions.ProbableAuthenticationError:
        return False
    return True


async def test_provisioning_is_idempotent(suite: Instance, tree: Path, settings: Variables) -> None:
    for _ in range(2):
        done = provision(tree, settings)
        assert done.returncode == 0, done.stderr
        assert "baker, waiter" in done.stdout
    assert await database_accepts(suite.dsn("baker"))
    assert await broker_accepts(suite.broker_url("baker"))


async def test_provisioning_changes_a_password(
    suite: Instance, tree: Path, settings: Variables
) -> None:
    odd = 'it\'s a $new "one"'
    settings |= {"BAKER_DATABASE_PASSWORD": odd, "BAKER_BROKER_PASSWORD": "a-new-one"}
    assert provision(tree, settings).returncode == 0
    assert not await database_accepts(suite.dsn("baker"))
    assert not await broker_accepts(suite.broker_url("baker"))
    assert await database_accepts(suite.dsn("waiter"))
    host = suite.dsn("baker").rpartition("@")[2]
    parts = {"host": host.partition(":")[0], "port": int(host.partition(":")[2].partition("/")[0])}
    connection = await asyncpg.connect(user="baker", password=odd, database="baker", **parts)
    await connection.close()


@pytest.fixture
def api(suite: Instance) -> Iterator[httpx.Client]:
    """The broker's management API; the queues of these tests are gone afterwards."""
    with httpx.Client(base_url=suite.environment.broker.management_url, trust_env=False) as client:
        yield client
        for queue in ("svc.waiter.first", "svc.waiter.late"):
            client.delete(f"/api/queues/{broker.VHOST}/{queue}")


def with_an_extra_binding(suite: Instance, tree: Path) -> dict[str, Any]:
    """Definitions of which RabbitMQ creates all but one binding, and reports success."""
    wanted = topology.with_users(tree, ["baker", "waiter"], suite.environment.secrets)
    queue = {**wanted["queues"][0], "name": "svc.waiter.first"}
    binding = {**wanted["bindings"][0], "destination": "svc.waiter.late"}
    return {
        **wanted,
        "queues": [*wanted["queues"], queue],
        "bindings": [*wanted["bindings"], binding],
    }


def test_a_binding_that_the_broker_skipped_is_named(
    suite: Instance, tree: Path, api: httpx.Client
) -> None:
    wanted = with_an_extra_binding(suite, tree)

    with pytest.raises(broker.TopologyIncomplete, match=r"→ svc\.waiter\.late \("):
        broker.apply_definitions(suite.environment.broker.management_url, wanted, deadline=0)


def test_definitions_are_imported_until_the_broker_has_every_binding(
    suite: Instance, tree: Path, api: httpx.Client
) -> None:
    url = suite.environment.broker.management_url
    with ThreadPoolExecutor() as pool:
        applied = pool.submit(broker.apply_definitions, url, with_an_extra_binding(suite, tree))
        while api.get(f"/api/queues/{broker.VHOST}/svc.waiter.first").status_code != 200:
            assert not applied.done()
        late = f"/api/queues/{broker.VHOST}/svc.waiter.late"
        api.put(late, json={"durable": True}).raise_for_status()
        applied.result(timeout=60)

    destinations = [entry["source"] for entry in api.get(f"{late}/bindings").json()]
    assert len(destinations) == 2


async def test_a_missing_setting_is_named(tree: Path, settings: Variables) -> None:
    del settings["WAITER_BROKER_PASSWORD"]
    done = provision(tree, settings)
    assert done.returncode == 1
    assert "WAITER_BROKER_PASSWORD is missing" in done.stderr
    assert "Traceback" not in done.stderr


async def test_an_unreachable_server_is_reported_without_traceback_and_password(
    tree: Path, settings: Variables
) -> None:
    settings["BROKER_API"] = "http://admin:hush@127.0.0.1:1"
    done = provision(tree, settings)
    assert done.returncode == 1
    assert "is unreachable" in done.stderr
    assert "Traceback" not in done.stderr
    assert "hush" not in done.stderr
