"""Refused passwords, and hashing and verifying the accepted ones."""

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zxcvbn import matching

from chassis.errors import Unavailable
from identity.clients import MAX_QUEUED, Passwords
from identity.domain.credentials import (
    MAX_ESTIMATED_LENGTH,
    PasswordTooCommon,
    PasswordTooShort,
    _variants,
    ensure_strong,
    words_known_of,
)

SIGNS = "4@8({[<369&#!1/|0$5+7%2"


@pytest.mark.parametrize(
    "password",
    [
        "passwordpassword",
        "P@ssw0rd!P@ssw0rd!",
        "Password1234567890",
        "123456789012345",
        "qwertyuiopasdfgh",
        "zzzzzzzzzzzzzzzzzzzz",
        "abcabcabcabcabcabc",
        "Password-2024-2025",
        "correct horse battery staple",
        "iloveyou iloveyou",
        "dragonmonkeyfootball",
        "aQ" * 128,
        "ada.lovelace.1815",
        "Ada Lovelace ada@example.com",
        ". . . . . . . . . . . .",
        "1q2w3e4r5t6y7u8i",
        "manchesterunited",
        "manchesterunited1",
        "liverpoolfootballclub",
        "qazwsxedcrfvtgb",
        "abcde-fghij-klmno-pqrst",
        "thisismypassword",
    ],
)
def test_a_password_that_is_easy_to_guess_is_refused(password: str) -> None:
    with pytest.raises(PasswordTooCommon):
        ensure_strong(password, known=words_known_of("ada@example.com", "Ada", "Lovelace"))


@pytest.mark.parametrize(
    "password",
    [
        "the tide turns at seven past four",
        "my cat eats purple rain",
        "xkAfg92jmwqLpz8",
        "日本語のパスワードはとても長いです",
        "tQf7-83yhs_ASDFwerV_mm20xS3A8",
    ],
)
def test_a_password_that_is_hard_to_guess_is_accepted(password: str) -> None:
    ensure_strong(password, known=["ada@example.com"])


@given(st.text(st.sampled_from(SIGNS + "abc"), min_size=MAX_ESTIMATED_LENGTH, max_size=256))
def test_no_text_makes_the_estimate_try_many_readings(text: str) -> None:
    for form in _variants([text]):
        assert len(form) <= MAX_ESTIMATED_LENGTH
        table = matching.relevant_l33t_subtable(form, matching.L33T_TABLE)
        assert len(matching.enumerate_l33t_subs(table)) <= 8


def test_length_is_counted_in_characters() -> None:
    with pytest.raises(PasswordTooShort):
        ensure_strong("éàçéàçéàçéàçéà")


async def test_a_hash_is_salted_and_verified() -> None:
    passwords = Passwords(8, 1)
    first, second = [await passwords.hash("the tide turns at seven") for _ in range(2)]
    assert first != second
    assert await passwords.verify("the tide turns at seven", first)
    assert not await passwords.verify("the tide turns at eight", first)
    assert not await passwords.verify("no user has this password", None)
    assert not await passwords.verify("the tide turns at seven", "not a hash")
    assert not passwords.is_outdated(first)
    passwords.close()


async def test_estimating_a_password_does_not_block_the_event_loop() -> None:
    passwords = Passwords(8, 1)
    estimate = asyncio.create_task(passwords.ensure_strong(SIGNS * 8, ["ada"]))
    turns = 0
    while not estimate.done():
        await asyncio.sleep(0)
        turns += 1
    await asyncio.gather(estimate, return_exceptions=True)
    assert turns > 10
    passwords.close()


async def test_the_queue_of_passwords_is_bounded() -> None:
    passwords = Passwords(8, 1)
    free = threading.Event()
    waiting = [asyncio.ensure_future(passwords._zxcvbn.run(free.wait)) for _ in range(MAX_QUEUED)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await passwords.ensure_strong("the tide turns at seven past four", [])
    free.set()
    await asyncio.gather(*waiting)
    await passwords.ensure_strong("the tide turns at seven past four", [])
    passwords.close()
