"""Settings: what is wrong is named with its form and an example, and never shown."""

import pytest
from pydantic import ValidationError

from chassis.settings import ServiceSettings, explain, load

GOOD = {
    "PORT": "8101",
    "DATABASE_URL": "postgresql+asyncpg://sample:pw@127.0.0.1/sample",
    "BROKER_URL": "amqp://sample:pw@127.0.0.1/cartwright",
    "JWKS_URL": "http://127.0.0.1:8101/.well-known/jwks.json",
    "IDENTITY_URL": "http://127.0.0.1:8101",
    "SERVICE_CLIENT_SECRET": "only for these tests",
}


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ServiceSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def complaint() -> str:
    with pytest.raises(ValidationError) as refused:
        ServiceSettings()
    return explain(ServiceSettings, refused.value)


def test_the_environment_is_read() -> None:
    settings = load(ServiceSettings)
    assert settings.port == 8101
    assert settings.retry_tiers == [5, 30, 300, 1800]


def test_a_secret_is_not_shown_when_settings_are() -> None:
    assert GOOD["SERVICE_CLIENT_SECRET"] not in repr(load(ServiceSettings))


@pytest.mark.parametrize("name", GOOD)
def test_what_is_missing_is_named_with_an_example(
    surroundings: pytest.MonkeyPatch, name: str
) -> None:
    surroundings.delenv(name)
    message = complaint()
    assert f"{name}: Field required" in message
    assert f"for example {name}=" in message
    assert len(message.splitlines()) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "canary"),
        ("PORT", "99999"),
        ("DATABASE_URL", "mysql://root:canary@db/shop"),
        ("RETRY_TIERS", "[5, canary"),
        ("RETRY_TIERS", "[1, 2, 3, 4, 54321]"),
        ("LOG_LEVEL", "canary"),
    ],
)
def test_what_is_malformed_is_named_and_its_value_never(
    surroundings: pytest.MonkeyPatch, name: str, value: str
) -> None:
    surroundings.setenv(name, value)
    message = complaint()
    assert name in message
    assert "canary" not in message
    assert value not in message


def test_several_faults_are_reported_at_once_and_end_the_process_with_2(
    surroundings: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    surroundings.delenv("PORT")
    surroundings.setenv("POOL_SIZE", "none")
    with pytest.raises(SystemExit) as ended:
        load(ServiceSettings)
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert "PORT: Field required" in message
    assert "POOL_SIZE: " in message
