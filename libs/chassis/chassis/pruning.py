"""Deletes rows whose retention has ended, in short transactions and in one process at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import MetaData, Table, TextClause, Uuid, text

from chassis import metrics, revocations, tables
from chassis.db import Database
from chassis.ids import lowest_id, utcnow
from chassis.model import RETENTION, Policy, Pruned
from chassis.ops import tables as operator_tables
from chassis.sweep import Batch, Sweep

EVERY: Final = 300.0
"""Seconds between two runs, when the former one left no expired row."""
BATCH: Final = 1000
LOCK: Final = text("select pg_try_advisory_xact_lock(7201118)")

CHASSIS_TABLES: Final = (tables.metadata, operator_tables.metadata, revocations.metadata)


@dataclass(frozen=True, slots=True)
class Rule:
    """One table's rows older than `after` are deleted by `statement`, BATCH at a time."""

    table: str
    after: timedelta
    statement: TextClause

    def parameters(self, now: datetime) -> dict[str, Any]:
        """The parameters of the statement that has them."""
        cutoff = now - self.after
        values = {"cutoff": cutoff, "lowest": lowest_id(cutoff)}
        return {name: value for name, value in values.items() if f":{name}" in self.statement.text}


def tables_of(metadata: MetaData) -> Iterator[tuple[Table, Policy | None]]:
    """The tables of a service, the chassis's included, each with its policy."""
    for each in (metadata, *CHASSIS_TABLES):
        for table in each.sorted_tables:
            yield table, table.info.get(RETENTION)


def rules_of(metadata: MetaData, days: Mapping[str, float]) -> list[Rule]:
    """The rules of a service's pruned tables; `days` overrides their times, and 0 retains all rows.

    Raises ValueError for a table that is not pruned, and for a time below the policy's least.
    """
    pruned = {t.name: (t, p) for t, p in tables_of(metadata) if isinstance(p, Pruned)}
    if unknown := sorted(days.keys() - pruned.keys()):
        raise ValueError(
            f"RETENTION_DAYS: {unknown[0]} is not pruned; the pruned tables are {', '.join(pruned)}"
        )
    rules = []
    for name, (table, policy) in pruned.items():
        chosen = days.get(name, policy.days)
        if chosen and chosen < policy.least:
            raise ValueError(f"RETENTION_DAYS: {name} must be 0 or at least {policy.least:g} days")
        if chosen:
            rules.append(Rule(name, timedelta(days=chosen), _statement(table, policy)))
    return rules


def _statement(table: Table, policy: Pruned) -> TextClause:
    is_id = isinstance(table.c[policy.by].type, Uuid)
    limit = "cast(:lowest as uuid)" if is_id else "cast(:cutoff as timestamptz)"
    condition = policy.where.replace(":cutoff", "cast(:cutoff as timestamptz)")
    # Rows that another transaction has locked are in use, and may be due in the next run.
    return text(
        f"with expired as (delete from {table.name} where ctid = any(array("  # noqa: S608
        f"select ctid from {table.name} where {policy.by} < {limit} and ({condition}) "
        f"order by {policy.by} limit {BATCH} for update skip locked)) returning 1) "
        "select count(*) from expired"
    )


def sweep_of(rules: Sequence[Rule]) -> Sweep:
    """The sweep that applies the rules."""
    failures = Batch[str]("retention")
    for rule in rules:
        metrics.ROWS_PRUNED.labels(rule.table)

    async def work(database: Database) -> int:
        postponed = failures.postponed()
        done = 0
        for rule in rules:
            if rule.table not in postponed:
                with failures.isolate(rule.table):
                    done += await prune(database, rule, utcnow())
        return done

    return Sweep(failures.name, work, every=EVERY)


async def prune(database: Database, rule: Rule, now: datetime) -> int:
    """Delete up to BATCH expired rows of a table, the oldest first; returns how many.

    Returns 0 while another process prunes the service's database.
    """
    async with database.transaction() as tx:
        if not (await tx.execute(LOCK)).scalar_one():
            return 0
        done = int((await tx.execute(rule.statement, rule.parameters(now))).scalar_one())
    metrics.ROWS_PRUNED.labels(rule.table).inc(done)
    return done
