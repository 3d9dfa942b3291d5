"""What staff changes leaves an entry in the audit trail, whether or not the route writes one."""

from collections.abc import AsyncIterator
from typing import Any, Literal
from uuid import UUID

import pytest
import pytest_asyncio
from fastapi import APIRouter, Depends, Request
from sample.service import Base, Jar, bus
from sqlalchemy import text

from chassis.auth import require_permission
from chassis.db import Tx
from chassis.errors import Refused, refuses
from chassis.ids import new_id
from chassis.ops import audit
from chassis.service import Service
from chassis.settings import ServiceSettings
from chassis.wire import Body
from testkit.harness import Harness, running_service

router = APIRouter(
    prefix="/v1/admin/jars", dependencies=[Depends(require_permission("jars:write"))]
)


class LabelBody(Body):
    """What is changed of a jar."""

    coins: int | None = None
    kind: Literal["clay", "glass"] = "clay"
    owner: str = ""
    labels: list[str] = []


@router.post("", status_code=201)
async def create_jar(body: LabelBody, tx: Tx) -> None:
    """Make a jar."""
    jar = Jar(id=new_id(), coins=body.coins or 0)
    tx.add(jar)
    audit.name_created(tx, jar.id)


@router.post("/unnamed", status_code=201)
async def create_unnamed(tx: Tx) -> None:
    """Create a jar without naming it."""
    tx.add(Jar(id=new_id(), coins=0))


@router.put("/{jar_id}/label/{number}")
@refuses(Refused)
async def label(jar_id: UUID, number: int, body: LabelBody, tx: Tx) -> None:
    """Change a jar."""
    jar = await tx.get_one(Jar, jar_id)
    jar.coins = number
    if body.kind == "glass":
        await tx.flush()
        raise Refused


@router.post("/{jar_id}/count")
async def count(jar_id: UUID, tx: Tx) -> None:
    """Record an entry of its own."""
    await audit.record(tx, "jar.count", jar_id, "an inspection", before={"coins": 1})


@router.post("/{jar_id}/twice")
async def twice(jar_id: UUID, request: Request) -> None:
    """Change a jar in two transactions."""
    for coins in (1, 2):
        async with request.app.state.database.transaction() as tx:
            (await tx.get_one(Jar, jar_id)).coins = coins


@router.post("/{jar_id}/around")
async def around(jar_id: UUID, request: Request) -> None:
    """Change a jar outside of a transaction that is audited."""
    await request.app.state.database.execute_once(
        text("update jars set coins = 9 where id = :id"), {"id": jar_id}
    )


service = Service("jars", ServiceSettings, Base.metadata, [router], bus)
ACTION = "admin_jars_label"
USER = new_id()


@pytest_asyncio.fixture
async def jars(template: str) -> AsyncIterator[Harness[Any]]:
    async for harness in running_service(service, template):
        staff = harness.signed_in(user_id=USER, permissions=("jars:write",))
        harness.client.headers.update(staff)
        yield harness


async def entries(jars: Harness[Any]) -> list[Any]:
    return await jars.sql(
        "select actor, action, target, reason, before, after from audit_entries order by id"
    )


async def a_jar(jars: Harness[Any]) -> str:
    jar = Jar(id=new_id(), coins=1)
    async with jars.transaction() as tx:
        tx.add(jar)
    return f"/v1/admin/jars/{jar.id}"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"null", b"[]"])
async def test_a_missing_or_malformed_body_is_refused(jars: Harness[Any], body: bytes) -> None:
    path, headers = await a_jar(jars), {"content-type": "application/json"}
    answer = await jars.client.put(f"{path}/label/3", content=body, headers=headers)
    assert answer.status_code in (400, 422)
    assert await entries(jars) == []


async def test_a_change_is_recorded_without_what_is_personal(jars: Harness[Any]) -> None:
    path = await a_jar(jars)
    body = {"coins": 7, "kind": "clay", "owner": "Ada Lovelace", "labels": ["secret"]}
    assert (await jars.client.put(f"{path}/label/3", json=body)).status_code == 200
    [entry] = await entries(jars)
    assert (entry.actor, entry.action, entry.reason) == (f"user:{USER}", ACTION, "by hand")
    assert entry.target == path.rpartition("/")[2]
    assert entry.after == {
        "number": "3",
        "coins": 7,
        "kind": "clay",
        "owner": "given",
        "labels": "1 entries",
    }


async def test_what_is_created_is_named_by_its_route(jars: Harness[Any]) -> None:
    assert (await jars.client.post("/v1/admin/jars", json={"coins": 4})).status_code == 201
    [(made,)] = await jars.sql("select id from jars")
    [entry] = await entries(jars)
    assert (entry.target, entry.after) == (str(made), {"coins": 4})


async def test_a_refused_change_leaves_no_entry(jars: Harness[Any]) -> None:
    path = await a_jar(jars)
    refused = await jars.client.put(f"{path}/label/3", json={"kind": "glass"})
    assert refused.status_code == 409
    assert await entries(jars) == []


async def test_the_entry_of_a_route_is_the_only_one(jars: Harness[Any]) -> None:
    assert (await jars.client.post(f"{await a_jar(jars)}/count")).status_code == 200
    [entry] = await entries(jars)
    assert (entry.action, entry.reason, entry.before) == (
        "jar.count",
        "an inspection",
        {"coins": 1},
    )


async def test_one_operation_leaves_one_entry_however_often_it_commits(jars: Harness[Any]) -> None:
    assert (await jars.client.post(f"{await a_jar(jars)}/twice")).status_code == 200
    assert len(await entries(jars)) == 1


async def test_a_change_by_a_customer_is_not_recorded(jars: Harness[Any]) -> None:
    await a_jar(jars)
    assert await entries(jars) == []


async def test_a_change_without_its_entry_is_found(jars: Harness[Any]) -> None:
    with pytest.raises(AssertionError, match="left no audit entry"):
        await jars.client.post(f"{await a_jar(jars)}/around")


async def test_an_entry_that_names_nothing_is_found(jars: Harness[Any]) -> None:
    with pytest.raises(AssertionError, match="does not name its target"):
        await jars.client.post("/v1/admin/jars/unnamed")
