"""Settings: invalid values and derived ones."""

from typing import Any

import pytest
from pydantic import ValidationError

from notifications.domain.email import retry_delay
from notifications.settings import NotificationsSettings


def settings(**changes: Any) -> NotificationsSettings:
    return NotificationsSettings.model_validate(
        {
            "port": 1,
            "database_url": "postgresql+asyncpg://a@b/c",
            "broker_url": "amqp://a",
            "jwks_url": "http://a",
            "identity_url": "http://a",
            "service_client_secret": "s" * 16,
            "orders_url": "http://a",
            "smtp_host": "mail.example.com",
            "smtp_port": 25,
            "mail_from": "Cartwright <shop@example.com>",
        }
        | changes
    )


def test_the_sender_is_the_bare_address() -> None:
    assert settings().sender_address == "shop@example.com"
    assert settings(mail_from="shop@example.com").sender_address == "shop@example.com"


@pytest.mark.parametrize(
    "changes",
    [
        {"mail_from": "Cartwright"},
        {"mail_from": "a@b.c\nBcc: d@e.f"},
        {"smtp_port": 0},
        {"smtp_security": "maybe"},
        {"mail_retry_tiers": []},
        {"mail_retry_tiers": [0]},
        {"default_locale": "fr"},
        {"smtp_timeout": 0},
    ],
)
def test_invalid_settings_are_rejected(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**changes)


def test_a_lease_outlasts_the_time_limit_of_a_batch() -> None:
    assert settings(mail_batch=3, smtp_timeout=2).lease > 3 * 2


def test_a_mail_gets_one_attempt_more_than_there_are_delays() -> None:
    assert [retry_delay(attempts, [1, 2]) for attempts in (1, 2, 3)] == [1, 2, None]
