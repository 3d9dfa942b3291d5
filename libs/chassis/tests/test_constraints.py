"""A broken constraint is answered by its name, and every name that is answered exists."""

from typing import Any

import pytest
from asyncpg import IntegrityConstraintViolationError
from sample.service import Jar, service

from chassis import constraints, driver
from chassis.constraints import violations_as
from chassis.driver import Sql
from chassis.errors import Refused
from chassis.ids import new_id
from chassis.model import check_in
from testkit.harness import model_differences

ADD = Sql("insert into jars (id, coins) values (:id, :coins)")


class JarExists(Refused):
    """There is such a jar."""


@pytest.mark.parametrize("way", ["asyncpg", "mapped"])
async def test_a_named_constraint_is_the_refusal(sample: Any, way: str) -> None:
    database, mine = sample.running.database, new_id()
    await database.execute(ADD, {"id": mine, "coins": 1})
    with pytest.raises(JarExists), violations_as(pk_jars=JarExists):
        async with database.transaction() as tx:
            if way == "asyncpg":
                await driver.execute(tx, ADD, {"id": mine, "coins": 1})
            else:
                tx.add(Jar(id=mine, coins=1))
                await tx.flush()


async def test_any_other_constraint_stays_a_fault(sample: Any) -> None:
    database, mine = sample.running.database, new_id()
    await database.execute(ADD, {"id": mine, "coins": 1})
    for added in ({"id": mine, "coins": 1}, {"id": new_id(), "coins": None}):
        with (
            pytest.raises(IntegrityConstraintViolationError),
            violations_as(uq_jars_coins=JarExists),
        ):
            async with database.transaction() as tx:
                await driver.execute(tx, ADD, added)


def test_a_name_that_no_constraint_has_is_found(
    template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert model_differences(service, template) == []
    source = "with violations_as(pk_jars=JarExists, uq_jars_coins=JarExists, **more):\n    pass\n"
    named = set(constraints.constraints_in(source))
    monkeypatch.setattr(constraints, "named_in", lambda _package: named)
    assert model_differences(service, template) == ["(not spelt out)", "uq_jars_coins"]


def test_the_names_of_a_package_are_found() -> None:
    assert "uq_coupons_code" in constraints.named_in("promotions")
    assert constraints.named_in("json") == set()


def test_a_check_names_each_value_that_a_column_may_hold() -> None:
    assert check_in("state", ("open", "shut")) == "state in ('open', 'shut')"
