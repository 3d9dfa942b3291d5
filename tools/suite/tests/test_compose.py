"""The choice between containers and native processes, and the `.env` of compose."""

import stat
from pathlib import Path

import pytest

from suite import compose, repository, service_list
from suite.compose import FILE, Project, variables
from suite.refusals import Refusal

SERVICES = service_list.load(repository.ROOT)
FEW = [SERVICES["cart"], SERVICES["orders"]]


def test_prepare_adds_variables_and_leaves_existing_ones(tmp_path: Path) -> None:
    project = Project(repository.ROOT, tmp_path)
    project.prepare(FEW)
    first = project.env_file.read_text()
    assert stat.S_IMODE(project.env_file.stat().st_mode) == 0o600
    project.env_file.write_text(
        first.replace("ORDERS_DATABASE_PASSWORD=", "ORDERS_DATABASE_PASSWORD=mine-")
    )
    project.prepare([*FEW, SERVICES["catalog"]])
    second = dict(line.split("=", 1) for line in project.env_file.read_text().splitlines())
    assert second["ORDERS_DATABASE_PASSWORD"].startswith("mine-")
    assert {"CATALOG_DATABASE_PASSWORD", "CATALOG_BROKER_PASSWORD"} <= set(second)


def test_secret_files_are_readable_and_their_folder_is_private(tmp_path: Path) -> None:
    made = Project(repository.ROOT, tmp_path).prepare(FEW)
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert stat.S_IMODE(made.signing_key_file.stat().st_mode) == 0o444
    assert (tmp_path / "secrets/previous-signing-key.pem").read_text() == (
        made.signing_key_file.read_text()
    )


def test_every_required_variable_of_the_compose_file_is_generated(tmp_path: Path) -> None:
    made = Project(repository.ROOT, tmp_path).prepare(SERVICES.values())
    lines = (repository.ROOT / FILE).read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    required = {part.partition(":?}")[0] for part in text.split("${")[1:] if ":?}" in part[:60]}
    assert len(required) > 20
    assert required <= set(variables(made.values, SERVICES.values()))


def test_the_setting_run_is_reported_and_an_unknown_value_refused() -> None:
    reported: list[str] = []
    assert not compose.is_chosen(repository.ROOT, reported.append, {"RUN": "native"})
    assert reported == ["runs natively, because of RUN=native"]
    with pytest.raises(Refusal, match="neither"):
        compose.is_chosen(repository.ROOT, reported.append, {"RUN": "moon"})


def test_without_an_engine_the_suite_runs_natively_and_reports_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/absent.sock")
    reported: list[str] = []
    assert not compose.is_chosen(repository.ROOT, reported.append, {})
    assert "no container engine answers" in reported[0]


def test_without_compose_the_refusal_states_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refusal, match="install one"):
        compose.command_of({"PATH": str(tmp_path)})
