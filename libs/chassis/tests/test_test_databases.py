"""A test's database is as good as new after the test before it, or it is thrown away."""

from typing import Any

from sample.service import service

from chassis.ids import new_id
from testkit.databases import AVAILABLE
from testkit.harness import running_service


async def rows(template: str, *statements: str) -> list[Any]:
    """Run statements on a database of the service; the rows of the last one."""
    found: list[Any] = []
    async for harness in running_service(service, template):
        for statement in statements:
            found = await harness.sql(statement)
    return found


async def test_what_a_test_wrote_is_gone_in_the_next(template: str) -> None:
    await rows(template, f"insert into jars (id, coins) values ('{new_id()}', 1)")
    assert await rows(template, "select * from jars") == []


async def test_a_test_that_changed_the_schema_loses_its_database(template: str) -> None:
    await rows(template, "alter table jars add constraint few check (coins < 3)")
    assert await rows(template, "select 1 from pg_constraint where conname = 'few'") == []
    (first,) = await rows(template, "select current_database()")
    (second,) = await rows(template, "select current_database()")
    assert first == second
    assert len({scratch.name for scratch in AVAILABLE[template]}) == len(AVAILABLE[template])
