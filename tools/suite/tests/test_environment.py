"""The environment of each service is complete and holds no other service's secrets."""

import importlib
from pathlib import Path

import pytest

from suite import environment, secrets, service_list
from suite.account import server_account
from suite.environment import Environment
from suite.postgres import Cluster
from suite.rabbitmq import Broker
from suite.repository import ROOT

SERVICES = service_list.load(ROOT)


def environment_in(folder: Path, profile: str, **overrides: dict[str, str]) -> Environment:
    names = ["gateway", "docs", "sandbox_provider", "mailcatcher", "smtp", "rabbitmq", "collector"]
    ports = {name: 20_000 + offset for offset, name in enumerate([*names, *SERVICES])}
    known = secrets.ensure(folder, SERVICES.values())
    account = server_account()
    cluster = Cluster(folder / "postgres", 20_100, account, known)
    broker = Broker(folder / "rabbitmq", ports, account, known)
    return Environment(SERVICES, ports, known, cluster, broker, profile, overrides)


@pytest.mark.parametrize("profile", environment.PROFILES)
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_accepts_its_settings(
    service: str, profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = environment_in(tmp_path, profile).of_migration(service)
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    settings = importlib.import_module(f"{service}.main").service.settings()

    assert settings.port == int(given["PORT"])
    assert settings.migrator_database_url.endswith(f"/{service}")
    assert settings.migrator_database_url != settings.database_url


def test_a_pack_gives_each_service_its_own_settings_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    single = environment_in(tmp_path, "test")
    given = single.of_pack([*SERVICES])
    assert "PORT" not in given
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    for service in SERVICES:
        composed = importlib.import_module(f"{service}.main").service
        settings = composed.settings(_env_prefix=f"{service}_")
        assert settings.port == single.ports[service]
        assert settings.database_url.endswith(f"/{service}")
        assert settings.otel_traces_sampler_arg == 0


def test_an_override_of_one_service_takes_precedence_over_one_for_all(tmp_path: Path) -> None:
    changed = environment_in(
        tmp_path, "test", **{"*": {"LOG_LEVEL": "error"}, "cart": {"LOG_LEVEL": "debug"}}
    )

    assert changed.of_service("cart")["LOG_LEVEL"] == "debug"
    assert changed.of_service("orders")["LOG_LEVEL"] == "error"


def test_a_service_receives_no_password_of_another(tmp_path: Path) -> None:
    given = environment_in(tmp_path, "up")
    for service in SERVICES:
        foreign = {
            secret
            for purpose, secret in given.secrets.values.items()
            if purpose.partition(":")[2] in {*SERVICES, "migrator", "postgres"} - {service}
        }
        text = " ".join(given.of_service(service).values())
        assert not any(secret in text for secret in foreign)


def test_exports_are_quoted_for_a_shell() -> None:
    assert environment.as_exports({"A": "it's $HOME"}) == "export A='it'\"'\"'s $HOME'"
