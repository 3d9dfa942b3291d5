"""Which passwords are refused, and how the others are kept."""

import pytest

from identity.domain.password import PasswordTooCommon, PasswordTooShort, check_password
from identity.passwords import Passwords


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
    ],
)
def test_what_is_tried_first_is_refused(password: str) -> None:
    with pytest.raises(PasswordTooCommon):
        check_password(password, known=["ada@example.com", "ada", "Lovelace"])


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
