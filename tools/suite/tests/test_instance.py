"""A suite of two tiny services: started, killed, repaired and stopped."""

import os
import signal
import socket
import time
from pathlib import Path

import httpx
import psutil
import pytest

from suite import control, logs, orphans, status_table
from suite.instance import Instance
from suite.refusals import NotReady, NotRunning, Refusal

EVERYTHING = {"postgres", "epmd", "rabbitmq", "baker", "waiter"}


def marked(instance: Instance) -> set[int]:
    return {process.pid for process in orphans.of(instance.folder)}


def test_every_process_answers_after_a_start(suite: Instance) -> None:
    assert set(suite.pids) == EVERYTHING
    for name in ("baker", "waiter"):
        assert httpx.get(f"{suite.url(name)}/readyz").status_code == 200


def test_every_process_has_batch_scheduling(suite: Instance) -> None:
    policies = {name: os.sched_getscheduler(pid) for name, pid in suite.pids.items()}

    assert policies == dict.fromkeys(EVERYTHING, os.SCHED_BATCH)


def test_no_other_user_reads_the_logs_and_commands_the_supervisor(suite: Instance) -> None:
    state = Path((suite.folder / "state-folder").read_text().strip())
    private = [*suite.logs.glob("*.log"), state / control.SOCKET, suite.folder / "plan.json"]

    assert len(private) > len(EVERYTHING)
    assert all(file.stat().st_mode & 0o077 == 0 for file in private)


def test_a_long_log_is_rotated_while_its_process_writes(suite: Instance) -> None:
    log = suite.log("waiter")
    with log.open("ab") as output:
        output.write(b"x" * logs.LONGEST)

    while not (older := log.with_name("waiter.log.1")).exists() or log.stat().st_size:
        time.sleep(0.1)
    assert older.stat().st_size == logs.LONGEST

    suite.restart("waiter")
    assert "serving" in log.read_text()


def test_a_second_start_changes_nothing(suite: Instance) -> None:
    before = suite.pids

    Instance(suite.folder, root=suite.root).start()

    assert suite.pids == before


def test_the_supervisor_restarts_a_killed_service(suite: Instance) -> None:
    before = suite.pids["baker"]

    suite.kill("baker")
    suite.wait_ready("baker")

    assert suite.pids["baker"] != before
    assert suite.status()["baker"].restarts >= 1


def test_the_supervisor_restarts_killed_servers(suite: Instance) -> None:
    before = suite.pids

    for name in ("postgres", "rabbitmq"):
        suite.kill(name)
    suite.wait_ready()

    assert all(suite.pids[name] != before[name] for name in ("postgres", "rabbitmq"))


def test_processes_killed_with_keep_down_stay_down_until_started(suite: Instance) -> None:
    suite.kill("postgres", "baker", keep_down=True)
    assert not {"postgres", "baker"} & set(suite.pids)

    suite.start_process("postgres", "baker")
    assert set(suite.pids) == EVERYTHING


def test_rabbitmqctl_controls_the_broker(suite: Instance) -> None:
    assert "rabbit" in suite.environment.broker.control("status")
    with pytest.raises(Refusal, match="no_such_command"):
        suite.environment.broker.control("no_such_command")


def test_a_stopped_process_stays_stopped_until_it_is_started(suite: Instance) -> None:
    suite.stop_process("waiter")
    assert "waiter" not in suite.pids

    suite.start_process("waiter")
    assert httpx.get(f"{suite.url('waiter')}/readyz").status_code == 200


def test_a_restart_replaces_the_process(suite: Instance) -> None:
    before = suite.pids["waiter"]

    suite.restart("waiter")

    assert suite.pids["waiter"] != before
    assert not psutil.pid_exists(before)


def test_an_unknown_process_is_named_in_the_refusal(suite: Instance) -> None:
    with pytest.raises(NotRunning, match="'butcher'"):
        suite.restart("butcher")


def test_a_start_repairs_a_suite_without_supervisor(suite: Instance) -> None:
    """The supervisor and a service are killed; the rest runs on unsupervised."""
    orphaned = marked(suite)
    os.kill(suite.pids["waiter"], signal.SIGKILL)
    os.kill(int((suite.folder / "supervisor.pid").read_text()), signal.SIGKILL)

    suite.start()

    assert set(suite.pids) == EVERYTHING
    assert not orphaned & marked(suite)


def test_a_changed_setting_restarts_its_service_alone(suite: Instance) -> None:
    before = suite.pids

    changed = Instance(suite.folder, root=suite.root, overrides={"baker": {"LOG_LEVEL": "debug"}})
    changed.start()

    after = suite.pids
    assert {name for name in EVERYTHING if before[name] != after[name]} == {"baker"}


def test_stop_ends_every_process_and_leaves_the_data(suite: Instance) -> None:
    ports = [suite.environment.ports[name] for name in ("postgres", "rabbitmq", "epmd", "baker")]

    suite.stop()

    assert marked(suite) == set()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)
    with pytest.raises(NotRunning):
        suite.status()
    suite.stop()

    suite.start()
    assert not control.is_held(suite.folder / "start.lock")
    assert set(suite.pids) == EVERYTHING


def test_the_refusal_names_a_failing_service_with_the_end_of_its_log(
    suite: Instance,
) -> None:
    broken = Instance(suite.folder, root=suite.root, overrides={"waiter": {"BROKEN": "yes"}})

    with pytest.raises(NotReady, match=r"(?s)waiter is not ready.*the setting BROKEN forbids"):
        broken.start()
    assert "baker" in suite.pids

    suite.start()
    assert set(suite.pids) == EVERYTHING


def test_the_status_has_a_row_for_each_process_and_one_for_the_sum(suite: Instance) -> None:
    table = status_table.of(suite)

    assert table.row_count == len(EVERYTHING) + 1
    states = [str(cell) for cell in table.columns[1].cells][:-1]
    assert all("ready" in state and "not" not in state for state in states)
    assert float(str(list(table.columns[7].cells)[-1])) > 10
