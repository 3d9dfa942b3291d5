"""The command line: its help, its stored login, its checks and its confirmations."""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.main import get_command
from typer.testing import CliRunner

from cartwright import doctor, output, session
from cartwright.admin_api import SERVICES
from cartwright.cli import app
from cartwright.dead_letters import checked_service
from cartwright.refusals import Refusal
from cartwright.session import Session

# docs/subscribing.md holds the examples of these commands.
ON_ANOTHER_PAGE = {"events", "subscriber"}
HERE = Path(__file__).resolve()
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("URL", "TOKEN", "EMAIL", "PASSWORD"):
        monkeypatch.delenv(f"CARTWRIGHT_{name}", raising=False)


def test_help_states_the_purpose() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cartwright", "--help"], capture_output=True, text=True, check=True
    )
    assert "Inspect and repair the orders" in done.stdout


def commands(group: object, *path: str) -> Iterator[tuple[str, ...]]:
    """Every command with its group, as it is typed."""
    inner = getattr(group, "commands", None)
    if inner is None:
        yield path
        return
    for name, command in inner.items():
        yield from commands(command, *path, name)


def documented(whole: object) -> list[tuple[str, ...]]:
    """The commands whose examples the README holds."""
    return [path for path in commands(whole) if path[0] not in ON_ANOTHER_PAGE]


def examples() -> list[list[str]]:
    """The arguments of each `cartwright` line in the README's shell blocks."""
    lines = (HERE.parents[1] / "README.md").read_text().splitlines()
    typed = [line for line in lines if line.startswith("cartwright ")]
    return [shlex.split(line, comments=True)[1:] for line in typed]


def test_every_command_has_an_example_that_parses() -> None:
    whole = get_command(app)
    shown = examples()
    for path in documented(whole):
        own = [line for line in shown if tuple(line[: len(path)]) == path]
        assert own, f"`{' '.join(path)}` has no example"
    for line in shown:
        command, context, rest = whole, None, line
        while hasattr(command, "commands"):
            command, rest = command.commands[rest[0]], rest[1:]
        parsed = command.make_context("cartwright", list(rest), parent=context)
        assert parsed.params is not None


def test_every_command_has_help_and_json_output() -> None:
    without_json = {("login",), ("logout",)}
    for path in documented(get_command(app)):
        shown = CliRunner().invoke(app, [*path, "--help"])
        assert shown.exit_code == 0, shown.output
        assert ("--json" in shown.output) == (path not in without_json), path


def test_the_stored_login_is_readable_by_its_owner_alone() -> None:
    login = Session("http://shop", "ada@example.com", "secret a", "secret r", 4_000_000_000.0)
    session.save(login)

    assert session.file().stat().st_mode & 0o777 == 0o600
    assert session.current() == login
    assert "secret" not in repr(login)


def test_without_a_login_the_error_names_the_login_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cartwright", "doctor"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "cartwright login" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unreachable_gateway_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARTWRIGHT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("CARTWRIGHT_TOKEN", "t")
    done = CliRunner().invoke(app, ["saga", "list"])
    assert isinstance(done.exception, Refusal)
    assert "does not answer" in str(done.exception)


def test_an_unknown_service_is_refused() -> None:
    assert "orders" in SERVICES
    with pytest.raises(Refusal, match="there is no service tea"):
        checked_service("tea")


def test_a_time_is_read_as_iso_8601_or_relative_to_now() -> None:
    assert output.parse_time("2h", NOW) == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert output.parse_time("2026-03-01T12:00:00Z") == NOW
    assert output.parse_time("2026-03-01") == datetime(2026, 3, 1, tzinfo=UTC)
    with pytest.raises(Refusal, match="not a time"):
        output.parse_time("yesterday")


def test_texts_of_the_shop_are_never_read_as_markup() -> None:
    table = output.table("a")
    table.add_row("[red]not red[/red] [/]")
    console = Console(width=80)
    with console.capture() as shown:
        console.print(table)
    assert "[red]not red[/red] [/]" in shown.get()


def healthy_report(**changes: object) -> dict[str, object]:
    queues = [{"name": "svc.orders", "ready": 0, "consumers": 1}]
    queues.append({"name": "svc.orders.dead", "ready": 0, "consumers": 0})
    return {
        "service": "orders",
        "time": NOW.isoformat(),
        "database_time": NOW.isoformat(),
        "revision": "0002",
        "newest_revision": "0002",
        "last_inbox_day": "2026-03-08",
        "keys_left_running": 0,
        "dead_letters": 0,
        "outbox": {"waiting": 0, "parked": 0, "oldest_seconds": None, "keys": []},
        "queues": queues,
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"revision": "0001"}, "schema"),
        ({"last_inbox_day": "2026-03-01"}, "tomorrow"),
        ({"keys_left_running": 3}, "never ended"),
        ({"dead_letters": 3}, "3 dead letters"),
        ({"time": "2026-03-01T12:01:00+00:00"}, "off this machine"),
        ({"outbox": {"parked": 1, "oldest_seconds": 1.0}}, "found no queue"),
        ({"outbox": {"parked": 0, "oldest_seconds": 90.0}}, "unsent"),
        (
            {
                "queues": [
                    {"name": "svc.orders", "ready": 9999, "consumers": 0},
                    {"name": "svc.orders.dead", "ready": 0, "consumers": 0},
                ]
            },
            "no consumer",
        ),
    ],
)
def test_the_doctor_detects_each_fault(changes: dict[str, object], detail: str) -> None:
    assert list(doctor.diagnose(healthy_report(), NOW)) == []
    found = list(doctor.diagnose(healthy_report(**changes), NOW))
    assert any(detail in each.detail and each.fix for each in found), json.dumps(changes)


@pytest.mark.parametrize(
    "line",
    [
        "saga skip 2026-000001",
        "saga compensate 2026-000001",
        "dead discard --service orders --all",
        "replay --service cart --from 0 --force",
    ],
)
def test_an_irreversible_command_needs_a_confirmation(line: str) -> None:
    typed = [*shlex.split(line), "--reason", "why not"]
    declined = CliRunner().invoke(app, typed, input="n\n")
    assert "nothing was done" in str(declined.exception)
    confirmed = CliRunner().invoke(app, [*typed, "--yes"])
    assert "not logged in" in str(confirmed.exception)


PASSWORD = "nine herons stand in the shallows"
COMMANDS = {
    "login": ["login", "--url", "http://shop", "--email", "ada@example.com"],
    "seed": ["seed", "--url", "http://shop", "--email", "ada@example.com"],
    "create-admin": ["create-admin", "ada@example.com"],
}


@pytest.fixture
def logins(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """The logins that commands request, as (url, e-mail, password)."""
    requested: list[tuple[str, str, str]] = []

    def log_in(url: str, email: str, password: str) -> Session:
        requested.append((url, email, password))
        return Session(url, email, "a", "r", 4_000_000_000.0)

    monkeypatch.setattr(session, "log_in", log_in)
    return requested


@pytest.mark.parametrize("command", COMMANDS)
def test_a_password_in_the_arguments_is_refused_before_anything_else(
    command: str, logins: list[tuple[str, str, str]]
) -> None:
    for typed in (["--password", PASSWORD], [f"--password={PASSWORD}"]):
        done = CliRunner().invoke(app, [command, *typed])
        assert isinstance(done.exception, Refusal)
        for instead in ("prompted", "CARTWRIGHT_PASSWORD", "--password-file FILE"):
            assert instead in str(done.exception)
        assert PASSWORD not in done.output + str(done.exception)
    assert "--password " not in CliRunner().invoke(app, [command, "--help"]).output
    assert logins == []


def test_the_password_comes_from_a_file_the_environment_or_a_prompt(
    logins: list[tuple[str, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\r\nanother line\n")
    line = COMMANDS["login"]

    def log_in(*options: str, **given: Any) -> str:
        done = CliRunner().invoke(app, [*line, *options], catch_exceptions=False, **given)
        assert done.exit_code == 0, done.output
        assert PASSWORD not in done.output
        return logins.pop()[2]

    assert log_in("--password-file", str(file)) == PASSWORD
    assert log_in("--password-file", "-", input=f"{PASSWORD}\n") == PASSWORD
    assert log_in(input=f"{PASSWORD}\n") == PASSWORD
    monkeypatch.setenv("CARTWRIGHT_PASSWORD", PASSWORD)
    assert log_in() == PASSWORD
    file.write_text("of the file")
    assert log_in("--password-file", str(file)) == "of the file"


def test_a_password_file_without_a_password_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\nsecond line")
    for file, reason in ((empty, "first line is empty"), (tmp_path / "none", "cannot be read")):
        done = CliRunner().invoke(app, [*COMMANDS["login"], "--password-file", str(file)])
        assert isinstance(done.exception, Refusal)
        assert reason in str(done.exception)


@pytest.mark.parametrize(
    ("line", "variable"),
    [
        ("subscriber list --broker-api http://admin:hush@127.0.0.1:9", "CARTWRIGHT_BROKER_API"),
        ("events tail --amqp amqp://ext:hush@127.0.0.1:9/x", "CARTWRIGHT_AMQP_URL"),
    ],
)
def test_an_address_with_a_password_comes_from_the_environment(line: str, variable: str) -> None:
    command, _, value = line.rpartition(" ")
    done = CliRunner().invoke(app, line.split())
    assert isinstance(done.exception, Refusal)
    assert f"set {variable} instead" in str(done.exception)
    assert "hush" not in done.output + str(done.exception)
    given = CliRunner().invoke(app, command.split()[:2], env={variable: value})
    assert "instead" not in str(given.exception)
