"""Starting and stopping beside other processes: waiting for migrations, and giving notice."""

import asyncio
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from sample.service import service

from chassis import middleware
from chassis.migrated import is_migrated
from testkit.databases import database_url
from testkit.harness import Harness


async def versions(sample: Harness[Any], url: str, version: str) -> bool:
    await sample.sql(f"update alembic_version set version_num = '{version}'")
    return await is_migrated(service.name, url)


async def test_a_process_waits_for_its_own_version_of_the_database_or_a_later_one(
    sample: Harness[Any],
) -> None:
    url = sample.running.settings.database_url
    ((newest,),) = await sample.sql("select version_num from alembic_version")
    assert await is_migrated(service.name, url)
    assert not await versions(sample, url, "0001")
    assert await versions(sample, url, "9999_of_a_later_version")
    assert await versions(sample, url, newest)


async def test_a_database_without_tables_or_without_a_server_is_not_migrated() -> None:
    assert not await is_migrated(service.name, database_url("template1"))
    nowhere = "postgresql+asyncpg://user@127.0.0.1:1/nowhere"
    assert not await is_migrated(service.name, nowhere)


async def test_a_stopping_process_is_not_ready_and_ends_its_connections(
    sample: Harness[Any],
) -> None:
    answer = await sample.client.get("/readyz")
    assert answer.status_code == 200
    assert "connection" not in answer.headers
    sample.running.stopping.set()
    answer = await sample.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"] == {"process": "stopping"}
    assert (await sample.client.get("/livez")).status_code == 200
    app = middleware.wrap(service.application(sample.running), 1024, sample.running.stopping.is_set)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://service")
    async with client:
        assert (await client.get("/livez")).headers["connection"] == "close"


async def test_applications_of_one_service_share_their_routes_and_not_their_parts(
    sample: Harness[Any],
) -> None:
    one = service.application(sample.running)
    other = service.application(replace(sample.running, stopping=asyncio.Event()))
    sample.running.stopping.set()
    assert one.router is other.router
    for app, status in ((one, 503), (other, 200), (one, 503)):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            assert (await client.get("/readyz")).status_code == status
            assert (await client.get("/metrics")).status_code == 200


def test_waiting_for_migrations_loads_neither_alembic_nor_a_service(sample: Harness[Any]) -> None:
    url = sample.running.settings.database_url
    waited = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "chassis.migrated", service.name],
        env={**os.environ, "DATABASE_URL": url}, capture_output=True, text=True, check=False,
        timeout=60, cwd=Path(__file__).parent,
    )  # fmt: skip
    assert waited.returncode == 0, waited.stderr
    loaded = {line.rpartition("|")[2].strip() for line in waited.stderr.splitlines()}
    assert "asyncpg" in loaded
    assert not loaded & {"alembic", "fastapi", "sqlalchemy", f"{service.name}.main"}
