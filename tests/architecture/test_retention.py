"""Every table of every service declares how long its rows are retained, and operators can read it."""

from collections.abc import Iterator
from importlib import import_module

import pytest
from sqlalchemy import Column, MetaData, Table, Uuid

from chassis.model import RETENTION, DeletedWith, Pruned
from chassis.pruning import rules_of, tables_of
from suite import repository, retention

SERVICES = repository.services(repository.ROOT)
# Its rows are so few that the table needs no index.
SMALL = {"handling_starts"}


def metadata_of(service: str) -> MetaData:
    """The tables that a service declares itself."""
    found: MetaData = import_module(f"{service}.main").service.metadata
    return found


def without_policy(metadata: MetaData) -> list[str]:
    """The tables that declare no policy."""
    return [table.name for table, policy in tables_of(metadata) if policy is None]


def unsupported(metadata: MetaData) -> Iterator[str]:
    """The tables whose policy their columns, indexes and keys do not support."""
    for table, policy in tables_of(metadata):
        if isinstance(policy, Pruned) and table.name not in SMALL:
            indexes = [next(iter(index.columns)).name for index in table.indexes]
            keys = [column.name for column in table.primary_key][:1]
            if policy.by not in [*indexes, *keys]:
                yield f"{table.name}: no index begins with {policy.by}"
        if isinstance(policy, DeletedWith):
            links = [key for key in table.foreign_keys if key.column.table.name == policy.parent]
            if not any(link.ondelete == "CASCADE" for link in links):
                yield f"{table.name}: no foreign key to {policy.parent} cascades"


@pytest.mark.parametrize("service", SERVICES)
def test_every_table_declares_its_retention(service: str) -> None:
    metadata = metadata_of(service)
    assert metadata.sorted_tables
    assert without_policy(metadata) == []
    assert list(unsupported(metadata)) == []
    assert rules_of(metadata, {})


def test_a_table_without_a_policy_is_found() -> None:
    seeded = MetaData()
    Table("forgotten", seeded, Column("id", Uuid, primary_key=True))
    assert without_policy(seeded) == ["forgotten"]


def test_a_policy_that_the_table_does_not_support_is_found() -> None:
    seeded = MetaData()
    for name, policy in {"slow": Pruned(1, by="age"), "loose": DeletedWith("slow")}.items():
        columns = [Column("id", Uuid, primary_key=True), Column("age", Uuid)]
        Table(name, seeded, *columns, info={RETENTION: policy})
    assert list(unsupported(seeded)) == [
        "loose: no foreign key to slow cascades",
        "slow: no index begins with age",
    ]


def test_the_page_for_operators_shows_every_policy() -> None:
    page = (repository.ROOT / retention.PAGE).read_text()
    assert page == retention.page(repository.ROOT, SERVICES), "write it with `make retention`"
    assert "| none |" not in page
