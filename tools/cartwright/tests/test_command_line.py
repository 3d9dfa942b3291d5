"""The command line explains itself, keeps its login to itself and says what to type next."""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console
from typer.main import get_command
from typer.testing import CliRunner

from cartwright import doctor, output, session
from cartwright.cli import app
from cartwright.dead import known
from cartwright.refusals import Refusal
from cartwright.session import Session
from cartwright.shop import SERVICES

# What other systems need has its own page, docs/subscribing.md.
OTHERS = {"events", "subscriber"}
HERE = Path(__file__).resolve()
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("URL", "TOKEN", "EMAIL", "PASSWORD"):
        monkeypatch.delenv(f"CARTWRIGHT_{name}", raising=False)


def test_help_names_the_purpose() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cartwright", "--help"], capture_output=True, text=True, check=True
    )
    assert "See what every order" in done.stdout


def commands(group: object, *path: str) -> Iterator[tuple[str, ...]]:
    """Every command there is, as it is typed."""
    inner = getattr(group, "commands", None)
    if inner is None:
        yield path
        return
    for name, command in inner.items():
        yield from commands(command, *path, name)


def mine(whole: object) -> list[tuple[str, ...]]:
    """The commands this page speaks of."""
    return [path for path in commands(whole) if path[0] not in OTHERS]


def examples() -> list[list[str]]:
    """The lines of the README's shell blocks that type this command, without its name."""
    lines = (HERE.parents[1] / "README.md").read_text().splitlines()
    typed = [line for line in lines if line.startswith("cartwright ")]
    return [shlex.split(line, comments=True)[1:] for line in typed]


def test_every_command_has_an_example_that_can_be_typed() -> None:
    whole = get_command(app)
    shown = examples()
    for path in mine(whole):
        own = [line for line in shown if tuple(line[: len(path)]) == path]
        assert own, f"`{' '.join(path)}` has no example"
    for line in shown:
        command, context, rest = whole, None, line
        while hasattr(command, "commands"):
            command, rest = command.commands[rest[0]], rest[1:]
        parsed = command.make_context("cartwright", list(rest), parent=context)
        assert parsed.params is not None


def test_every_command_says_what_it_does_and_speaks_json() -> None:
    quiet = {("login",), ("logout",)}
    for path in mine(get_command(app)):
        told = CliRunner().invoke(app, [*path, "--help"])
        assert told.exit_code == 0, told.output
        assert ("--json" in told.output) == (path not in quiet), path


def test_the_login_is_kept_where_nobody_else_reads_it() -> None:
    kept = Session("http://shop", "ada@example.com", "secret a", "secret r", 4_000_000_000.0)
    session.keep(kept)

    assert session.file().stat().st_mode & 0o777 == 0o600
    assert session.current() == kept
    assert "secret" not in repr(kept)


def test_without_a_login_it_says_what_to_type() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cartwright", "doctor"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "cartwright login" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_shop_that_does_not_answer_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARTWRIGHT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("CARTWRIGHT_TOKEN", "t")
    done = CliRunner().invoke(app, ["saga", "list"])
    assert isinstance(done.exception, Refusal)
    assert "does not answer" in str(done.exception)


def test_the_services_are_those_of_the_house() -> None:
    folder = HERE.parents[3] / "services"
    assert set(SERVICES) == {each.name for each in folder.iterdir() if each.is_dir()}
    with pytest.raises(Refusal, match="there is no service tea"):
        known("tea")


def test_times_are_typed_as_people_say_them() -> None:
    assert output.moment("2h", NOW) == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert output.moment("2026-03-01T12:00:00Z") == NOW
    assert output.moment("2026-03-01") == datetime(2026, 3, 1, tzinfo=UTC)
    with pytest.raises(Refusal, match="not a time"):
        output.moment("yesterday")


def test_what_the_shop_says_is_never_markup() -> None:
    table = output.table("a")
    table.add_row("[red]not red[/red] [/]")
    console = Console(width=80)
    with console.capture() as shown:
        console.print(table)
    assert "[red]not red[/red] [/]" in shown.get()


def standing(**changes: object) -> dict[str, object]:
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
    ("changes", "says"),
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
            "nobody takes",
        ),
    ],
)
def test_the_doctor_finds_each_illness(changes: dict[str, object], says: str) -> None:
    assert list(doctor.examined(standing(), NOW)) == []
    found = list(doctor.examined(standing(**changes), NOW))
    assert any(says in finding.says and finding.do for finding in found), json.dumps(changes)


@pytest.mark.parametrize(
    "line",
    [
        "saga skip 2026-000001",
        "saga compensate 2026-000001",
        "dead discard --service orders --all",
        "replay --service cart --from 0 --force",
    ],
)
def test_nothing_is_undone_without_being_meant(line: str) -> None:
    typed = [*shlex.split(line), "--reason", "why not"]
    asked = CliRunner().invoke(app, typed, input="n\n")
    assert "nothing was done" in str(asked.exception)
    meant = CliRunner().invoke(app, [*typed, "--yes"])
    assert "not logged in" in str(meant.exception)
