"""Ports are found free, recorded and kept."""

import socket
from pathlib import Path

import pytest

from suite import ports
from suite.refusals import NoFreePorts


def test_a_first_start_takes_a_block_of_its_own_and_records_it(tmp_path: Path) -> None:
    given = ports.assign(tmp_path / "ports.json", ["orders"], running=False)

    assert given["gateway"] >= ports.FIRST_BASE
    assert len(set(given.values())) == len(ports.FIXED) + 1
    assert ports.recorded(tmp_path / "ports.json") == given


def test_a_block_moves_on_when_one_of_its_ports_is_taken(tmp_path: Path) -> None:
    before = ports.assign(tmp_path / "ports.json", ["orders"], running=False)

    with socket.create_server(("127.0.0.1", before["postgres"])):
        after = ports.assign(tmp_path / "ports.json", ["orders"], running=False)

    assert not set(before.values()) & set(after.values())
    assert ports.recorded(tmp_path / "ports.json") == after


def test_a_block_our_own_processes_listen_on_is_kept(tmp_path: Path) -> None:
    before = ports.assign(tmp_path / "ports.json", ["orders"], running=False)

    with socket.create_server(("127.0.0.1", before["postgres"])):
        assert ports.assign(tmp_path / "ports.json", ["orders"], running=True) == before


def test_a_service_added_later_leaves_the_others_their_ports(tmp_path: Path) -> None:
    before = ports.assign(tmp_path / "ports.json", ["cart", "orders"], running=False)
    after = ports.assign(tmp_path / "ports.json", ["analytics", "cart", "orders"], running=False)

    assert {name: after[name] for name in before} == before
    assert after["analytics"] not in before.values()


def test_a_machine_without_a_free_block_is_refused(tmp_path: Path) -> None:
    one_per_block = range(ports.FIRST_BASE, ports.LAST_BASE, ports.BLOCK)
    takers = [
        socket.create_server(("127.0.0.1", port)) for port in one_per_block if ports.is_free(port)
    ]
    try:
        with pytest.raises(NoFreePorts):
            ports.assign(tmp_path / "ports.json", ["orders"], running=False)
    finally:
        for taker in takers:
            taker.close()
