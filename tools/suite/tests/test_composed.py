"""Where the suite runs, and the `.env` it runs with in containers."""

import stat
from pathlib import Path

import pytest

from suite import composed, repository
from suite.compose import FILE, Project, compose, variables
from suite.refusals import Refusal

SERVICES = ["cart", "orders"]


def test_the_env_file_is_written_once_and_only_added_to(tmp_path: Path) -> None:
    project = Project(repository.ROOT, tmp_path)
    project.prepare(SERVICES)
    first = project.env_file.read_text()
    assert stat.S_IMODE(project.env_file.stat().st_mode) == 0o600
    project.env_file.write_text(
        first.replace("ORDERS_DATABASE_PASSWORD=", "ORDERS_DATABASE_PASSWORD=mine-")
    )
    project.prepare([*SERVICES, "catalog"])
    second = dict(line.split("=", 1) for line in project.env_file.read_text().splitlines())
    assert second["ORDERS_DATABASE_PASSWORD"].startswith("mine-")
    assert {"CATALOG_DATABASE_PASSWORD", "CATALOG_BROKER_PASSWORD"} <= set(second)


def test_secret_files_are_readable_in_containers_and_their_folder_is_not(tmp_path: Path) -> None:
    made = Project(repository.ROOT, tmp_path).prepare(SERVICES)
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert stat.S_IMODE(made.signing_key_file.stat().st_mode) == 0o444
    assert (tmp_path / "secrets/previous-signing-key.pem").read_text() == (
        made.signing_key_file.read_text()
    )


def test_every_variable_the_file_asks_for_is_made(tmp_path: Path) -> None:
    made = Project(repository.ROOT, tmp_path).prepare(repository.services(repository.ROOT))
    text = (repository.ROOT / FILE).read_text()
    asked = {part.partition(":?}")[0] for part in text.split("${")[1:] if ":?}" in part[:60]}
    assert len(asked) > 20
    assert asked <= set(variables(made.values))


def test_a_choice_is_told_and_an_unknown_one_refused() -> None:
    told: list[str] = []
    assert not composed.is_chosen(repository.ROOT, told.append, {"RUN": "native"})
    assert told == ["runs natively: RUN=native says so"]
    with pytest.raises(Refusal, match="neither"):
        composed.is_chosen(repository.ROOT, told.append, {"RUN": "moon"})


def test_without_an_engine_it_runs_natively_and_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    told: list[str] = []
    assert not composed.is_chosen(repository.ROOT, told.append, {})
    assert "no container engine answers" in told[0]


def test_compose_without_a_command_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refusal, match="install one"):
        compose({"PATH": str(tmp_path)})
