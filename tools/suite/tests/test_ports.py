"""Blocks of ports: found free, claimed, recorded and reused."""

import socket
from pathlib import Path

import pytest

from suite import ports
from suite.refusals import NoFreePorts


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ports.json"


def assigned(file: Path, *services: str) -> dict[str, int]:
    """Assign ports for an instance that ends at once."""
    claim = ports.assign(file, services, claimed=False)
    assert claim is not None
    claim.close()
    return ports.recorded(file)


def test_a_first_start_records_a_block_of_ports(file: Path) -> None:
    given = assigned(file, "orders")

    assert given["gateway"] >= ports.FIRST_BASE
    assert len(set(given.values())) == len(ports.FIXED) + 1


def test_a_block_with_a_used_port_is_replaced(file: Path) -> None:
    before = assigned(file, "orders")

    with socket.create_server(("127.0.0.1", before["postgres"])):
        after = assigned(file, "orders")

    assert not set(before.values()) & set(after.values())
    assert assigned(file, "orders") == after


def test_two_instances_that_start_at_once_take_different_blocks(tmp_path: Path) -> None:
    """Only the claims listen yet."""
    with_claim = ports.assign(tmp_path / "one.json", ["orders"], claimed=False)
    second = assigned(tmp_path / "two.json", "orders")
    assert with_claim is not None
    with_claim.close()

    first = ports.recorded(tmp_path / "one.json")
    assert not set(first.values()) & set(second.values())


def test_a_claimed_block_is_reused(file: Path) -> None:
    before = assigned(file, "orders")

    with socket.create_server(("127.0.0.1", before["postgres"])):
        assert ports.assign(file, ["orders"], claimed=True) is None

    assert ports.recorded(file) == before


def test_a_new_service_leaves_the_ports_of_the_others(file: Path) -> None:
    before = assigned(file, "cart", "orders")
    after = assigned(file, "analytics", "cart", "orders")

    assert {name: after[name] for name in before} == before
    assert after["analytics"] not in before.values()


def test_a_machine_without_a_free_block_is_refused(file: Path) -> None:
    one_per_block = range(ports.FIRST_BASE, ports.LAST_BASE, ports.BLOCK)
    takers = [taker for port in one_per_block if (taker := ports.listen(port))]
    try:
        with pytest.raises(NoFreePorts):
            assigned(file, "orders")
    finally:
        for taker in takers:
            taker.close()
