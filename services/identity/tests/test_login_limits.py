"""Limits on logins by account and address, by address, and by account."""

import asyncio
import time
from typing import Any

import pytest

from chassis.client_address import HEADER
from identity.domain.session import LoginLimits

OTHER = "nine herons stand in the shallows"
LIMITS = LoginLimits(
    per_account_and_address=5, per_address=100, per_account=20, window=300, longest_delay=8
)


@pytest.mark.parametrize(
    ("tries", "seconds"), [(1, 0), (20, 0), (21, 0.5), (22, 1), (24, 4), (25, 8), (10_000, 8)]
)
def test_the_delay_of_an_account_doubles_up_to_a_limit(tries: int, seconds: float) -> None:
    assert LIMITS.delay(tries) == seconds


async def guess(
    identity: Any, address: str, email: str = "ada@example.com", password: str = OTHER
) -> int:
    body = {"email": email, "password": password}
    answer = await identity.client.post("/v1/auth/login", json=body, headers={HEADER: address})
    return int(answer.status_code)


def limit(identity: Any, **changes: Any) -> None:
    """Change settings of the running service."""
    settings = identity.running.settings.model_copy(update=changes)
    identity.running.settings = settings
    identity.client._transport.app.app.state.settings = settings


async def test_guesses_from_one_address_do_not_affect_the_owner_at_another(
    identity: Any, client: Any
) -> None:
    await client.register()
    assert [await guess(identity, "198.51.100.1") for _ in range(6)] == [401] * 5 + [429]
    assert (await client.log_in()).status_code == 200
    assert (
        await guess(identity, "198.51.100.1", password="the tide turns at seven past four") == 429
    )


async def test_addresses_of_one_ipv6_site_share_a_limit(identity: Any, client: Any) -> None:
    await client.register()
    answers = [await guess(identity, f"2001:db8:0:7::{number}") for number in range(6)]
    assert answers == [401] * 5 + [429]
    assert await guess(identity, "2001:db8:0:8::1") == 401


async def test_one_address_can_try_a_limited_number_of_accounts(identity: Any, client: Any) -> None:
    limit(identity, login_attempts_per_address=8)
    emails = [f"person{number}@example.com" for number in range(10)]
    answers = [await guess(identity, "198.51.100.1", email) for email in emails]
    assert answers == [401] * 8 + [429] * 2
    assert await guess(identity, "198.51.100.2", emails[0]) == 401


async def test_a_successful_login_resets_no_failures_at_other_accounts(
    identity: Any, client: Any
) -> None:
    limit(identity, login_attempts_per_address=4)
    await client.register()
    for _ in range(6):
        assert (await client.log_in()).status_code == 200
    emails = [f"person{number}@example.com" for number in range(3)]
    assert [await guess(identity, "192.0.2.1", email) for email in emails] == [401] * 3
    assert (await client.log_in()).status_code == 200
    assert await guess(identity, "192.0.2.1", "person3@example.com") == 401
    assert (await client.log_in()).status_code == 429


async def test_guesses_from_many_addresses_delay_but_never_lock_an_account(
    identity: Any, client: Any
) -> None:
    limit(identity, login_attempts_per_account=3, login_longest_delay=0.6)
    await client.register()
    guesses = [guess(identity, f"198.51.100.{number}") for number in range(12)]
    assert await asyncio.gather(*guesses) == [401] * 12

    began = time.monotonic()
    assert (await client.log_in()).status_code == 200
    assert time.monotonic() - began >= 0.6


async def test_a_user_is_not_delayed_at_an_address_with_an_open_session(
    identity: Any, client: Any
) -> None:
    await client.register_and_log_in()
    limit(identity, login_attempts_per_account=1, login_longest_delay=20, delayed_logins=1)
    identity.running.resources.delays._free = 0
    await asyncio.gather(*(guess(identity, f"198.51.100.{number}") for number in range(4)))
    assert (await client.log_in()).status_code == 200


async def test_delayed_logins_beyond_the_process_limit_are_refused(
    identity: Any, client: Any
) -> None:
    limit(identity, login_attempts_per_account=1, login_longest_delay=20)
    await client.register()
    identity.running.resources.delays._free = 0
    answers = [await guess(identity, f"198.51.100.{number}") for number in range(3)]
    assert answers == [401, 429, 429]
    assert (await client.log_in("bob@example.com")).status_code == 401


async def test_the_limits_do_not_reveal_existing_accounts(identity: Any, client: Any) -> None:
    await client.register()
    for email in ("ada@example.com", "unknown@example.com"):
        answers = [await guess(identity, "198.51.100.1", email) for _ in range(6)]
        assert answers == [401] * 5 + [429]
