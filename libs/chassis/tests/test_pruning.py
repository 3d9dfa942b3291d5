"""Expired rows are deleted in batches, by one process at a time; a fault stays with its table."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Column, DateTime, MetaData, Table, Uuid, text

from chassis.ids import lowest_id, new_id, utcnow
from chassis.model import RETENTION, Pruned, Retained
from chassis.pruning import BATCH, LOCK, Rule, rules_of, sweep_of
from testkit.harness import Harness
from testkit.metrics_page import MetricsPage

KEYS = "idempotency_keys"
DAY = 86_400


def rule_of(sample: Harness[Any], table: str = KEYS) -> Rule:
    return next(r for r in rules_of(sample.service.metadata, {}) if r.table == table)


async def add_keys(sample: Harness[Any], count: int, age: float) -> None:
    """Insert keys that are `age` seconds old."""
    await sample.sql(
        "insert into idempotency_keys (principal, key, route, body_hash, state, lease_until, "
        "resource_id, created_at) select :who, n, 'POST /', '', 'done', now(), :id, "
        "now() - make_interval(secs => :age) from generate_series(1, :count) n",
        who=str(new_id()),
        id=new_id(),
        age=age,
        count=count,
    )


async def count_keys(sample: Harness[Any]) -> int:
    [(found,)] = await sample.sql("select count(*) from idempotency_keys")
    return int(found)


async def pruned(sample: Harness[Any], table: str) -> float:
    page = MetricsPage.of(await sample.client.get("/metrics"))
    return page("cartwright_rows_pruned_total", table=table)


async def test_only_rows_past_their_time_are_deleted(sample: Harness[Any]) -> None:
    await add_keys(sample, 2, DAY - 60)
    await add_keys(sample, 3, DAY + 60)
    assert (await sample.prune())[KEYS] == 3
    assert await count_keys(sample) == 2
    assert (await sample.prune())[KEYS] == 0


async def test_many_rows_are_deleted_in_batches_and_counted(sample: Harness[Any]) -> None:
    await add_keys(sample, 2 * BATCH + 1, 2 * DAY)
    sweep = sweep_of([rule_of(sample)])
    before = await pruned(sample, KEYS)
    done = [await sweep.work(sample.running.database) for _ in range(4)]
    assert done == [BATCH, BATCH, 1, 0]
    assert await pruned(sample, KEYS) - before == 2 * BATCH + 1


async def test_one_process_prunes_at_a_time(sample: Harness[Any]) -> None:
    await add_keys(sample, 1, 2 * DAY)
    async with sample.transaction() as other:
        assert (await other.execute(LOCK)).scalar_one()
        assert (await sample.prune())[KEYS] == 0
    assert (await sample.prune())[KEYS] == 1


async def test_a_row_in_use_is_left_for_the_next_run(sample: Harness[Any]) -> None:
    await add_keys(sample, 3, 2 * DAY)
    async with sample.transaction() as other:
        await other.execute(text("select 1 from idempotency_keys where key = '1' for update"))
        assert (await sample.prune())[KEYS] == 2
    assert (await sample.prune())[KEYS] == 1


async def test_a_table_that_fails_is_counted_and_leaves_the_others(sample: Harness[Any]) -> None:
    await add_keys(sample, 1, 2 * DAY)
    rule = rule_of(sample)
    broken = replace(rule, table="missing", statement=text("select count(*) from missing"))
    page = MetricsPage.of(await sample.client.get("/metrics"))
    before = page("cartwright_sweep_failures_total", sweep="retention") or 0.0
    assert await sweep_of([broken, rule]).work(sample.running.database) == 1
    page = MetricsPage.of(await sample.client.get("/metrics"))
    assert page("cartwright_sweep_failures_total", sweep="retention") - before == 1


async def test_the_start_of_a_crashed_handling_is_forgotten(sample: Harness[Any]) -> None:
    insert = "insert into handling_starts (message_id, started_at) values (:id, :at)"
    for days in (29, 31):
        await sample.sql(insert, id=new_id(), at=utcnow() - timedelta(days=days))
    assert (await sample.prune())["handling_starts"] == 1


def tables(policy: Pruned) -> MetaData:
    metadata = MetaData()
    columns = [Column("id", Uuid, primary_key=True), Column("at", DateTime(timezone=True))]
    Table("visits", metadata, *columns, info={RETENTION: policy})
    Table(
        "books", metadata, Column("id", Uuid, primary_key=True), info={RETENTION: Retained("law")}
    )
    return metadata


def test_the_setting_changes_times_and_zero_retains_all_rows() -> None:
    metadata = tables(Pruned(30, by="at", least=7))

    def days(**chosen: float) -> dict[str, float]:
        return {r.table: r.after / timedelta(days=1) for r in rules_of(metadata, chosen)}

    assert days()["visits"] == 30
    assert days(visits=7)["visits"] == 7
    assert "visits" not in days(visits=0)
    with pytest.raises(ValueError, match="visits must be 0 or at least 7 days"):
        days(visits=6)
    with pytest.raises(ValueError, match="books is not pruned; the pruned tables are visits, "):
        days(books=30)


def test_the_age_is_read_from_a_time_or_from_an_id() -> None:
    cutoff = utcnow() - timedelta(days=30)
    for by, name in (("at", "cutoff"), ("id", "lowest")):
        rule = rules_of(tables(Pruned(30, by=by)), {})[0]
        assert list(rule.parameters(cutoff + timedelta(days=30))) == [name]
    assert lowest_id(cutoff) < new_id()


async def test_a_wrong_setting_is_explained_before_the_service_starts(
    sample: Harness[Any],
) -> None:
    settings = sample.running.settings.model_copy(update={"retention_days": {"outbox": 1.0}})
    with pytest.raises(ValueError, match="RETENTION_DAYS: outbox is not pruned"):
        sample.service.compose(settings)
