"""Which passwords are refused, and how the others are kept."""

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zxcvbn import matching

from chassis.errors import Unavailable
from identity.domain.password import (
    LONGEST_JUDGED,
    PasswordTooCommon,
    PasswordTooShort,
    _forms,
    check_password,
    words_of,
)
from identity.passwords import MOST_WAITING, Passwords

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
def test_what_is_tried_first_is_refused(password: str) -> None:
    with pytest.raises(PasswordTooCommon):
        check_password(password, known=words_of("ada@example.com", "Ada", "Lovelace"))


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
def test_what_nobody_tries_first_will_do(password: str) -> None:
    check_password(password, known=["ada@example.com"])


@given(st.text(st.sampled_from(SIGNS + "abc"), min_size=LONGEST_JUDGED, max_size=256))
def test_no_text_makes_the_estimate_try_many_readings(text: str) -> None:
    for form in _forms([text]):
        assert len(form) <= LONGEST_JUDGED
        table = matching.relevant_l33t_subtable(form, matching.L33T_TABLE)
        assert len(matching.enumerate_l33t_subs(table)) <= 8


def test_length_is_counted_in_characters() -> None:
    with pytest.raises(PasswordTooShort):
        check_password("éàçéàçéàçéàçéà")


async def test_a_hash_is_salted_and_checked() -> None:
    passwords = Passwords(8, 1)
    first, second = [await passwords.hash("the tide turns at seven") for _ in range(2)]
    assert first != second
    assert await passwords.check("the tide turns at seven", first)
    assert not await passwords.check("the tide turns at eight", first)
    assert not await passwords.check("nobody has this password", None)
    assert not await passwords.check("the tide turns at seven", "not a hash")
    assert not passwords.is_outdated(first)
    passwords.close()


async def test_the_event_loop_goes_on_while_a_password_is_judged() -> None:
    passwords = Passwords(8, 1)
    judged = asyncio.create_task(passwords.judge(SIGNS * 8, ["ada"]))
    turns = 0
    while not judged.done():
        await asyncio.sleep(0)
        turns += 1
    await asyncio.gather(judged, return_exceptions=True)
    assert turns > 10
    passwords.close()


async def test_no_more_passwords_wait_than_a_bound() -> None:
    passwords = Passwords(8, 1)
    free = threading.Event()
    waiting = [asyncio.ensure_future(passwords._zxcvbn.run(free.wait)) for _ in range(MOST_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await passwords.judge("the tide turns at seven past four", [])
    free.set()
    await asyncio.gather(*waiting)
    await passwords.judge("the tide turns at seven past four", [])
    passwords.close()
