"""Which passwords are refused: short ones, and those that a guessing program tries early.

The rules follow NIST SP 800-63B, section 3.1.1.2: length and a blocklist, no composition rules. The
blocklist is zxcvbn's estimate (Wheeler, USENIX Security 2016) over lists of leaked passwords, words
and names, keyboard walks, sequences and dates.
"""

import threading
from collections.abc import Collection, Iterable

from zxcvbn import zxcvbn

from chassis.errors import Invalid

SHORTEST = 15
FEWEST_GUESSES = 10**10
# The estimate's cost grows with the square of the length: a password is judged by its beginning.
LONGEST_JUDGED = 64
MOST_KNOWN = 12
# zxcvbn tries each way to read signs as letters. One sign per letter is enough, and without this 64
# characters can cost six seconds.
FEWER_SIGNS = str.maketrans("@{[<$+!|", "4(((5711")
# Guessing programs know the famous example; zxcvbn's lists do not.
ALWAYS_KNOWN = ("correcthorsebatterystaple",)
# zxcvbn stores what is known about the person in a module's variable.
ONE_AT_A_TIME = threading.Lock()


class PasswordTooShort(Invalid):
    """A password has at least 15 characters; a sentence is easy to remember."""

    code = "password_too_short"


class PasswordTooCommon(Invalid):
    """The password is among the first that are tried; choose another."""

    code = "password_too_common"


def check_length(password: str) -> None:
    """Refuse a password that is too short."""
    if len(password) < SHORTEST:
        raise PasswordTooShort


def check_password(password: str, known: Collection[str] = ()) -> None:
    """Refuse a password that is too short or can be guessed; takes up to 0.2 s of processor time.

    `known` is what an attacker knows of this person: the name and the parts of the e-mail address.
    """
    check_length(password)
    words = list(_forms([*list(known)[:MOST_KNOWN], *ALWAYS_KNOWN]))
    if any(_guesses(text, words) < FEWEST_GUESSES for text in _forms([password])):
        raise PasswordTooCommon


def words_of(email: str, *names: str) -> list[str]:
    """List what an attacker knows of a person: the address, its parts, and the names."""
    return [email, *names, "".join(names), *email.replace("@", ".").split(".")]


def _forms(texts: Iterable[str]) -> Iterable[str]:
    """Give each text as it is and without what people put between words."""
    for text in texts:
        letters = "".join(c for c in text if c.isalnum() or c in "@$!")
        yield from {form.translate(FEWER_SIGNS)[:LONGEST_JUDGED] for form in (text, letters)}


def _guesses(text: str, known: list[str]) -> int:
    if not text:
        return 0
    with ONE_AT_A_TIME:
        return int(zxcvbn(text, user_inputs=known)["guesses"])
