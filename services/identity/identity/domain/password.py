"""Which passwords are refused: short ones, and those that consist of what everybody tries first.

The rules follow NIST SP 800-63B, section 3.1.1.2: length and a blocklist, no composition rules.
"""

import re
from collections.abc import Collection
from functools import cache
from importlib.resources import files
from itertools import pairwise

from chassis.errors import Invalid

SHORTEST = 15
SHORTEST_PIECE = 3
MOST_PIECES = 4
# Beyond this a password is judged by its beginning: the search must stay quick.
LONGEST_JUDGED = 64
YEAR = re.compile(r"(1[89]|20)\d\d")
ROWS = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890123456789",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "azertyuiop",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
)
# Letters that people write with digits and signs, which guessing programs undo first.
PLAIN = str.maketrans("0134578@$!", "oieastbasi")


class PasswordTooShort(Invalid):
    """A password has at least 15 characters; a sentence is easy to remember."""

    code = "password_too_short"


class PasswordTooCommon(Invalid):
    """The password is among the first that are tried; choose another."""

    code = "password_too_common"


@cache
def common_passwords() -> frozenset[str]:
    """Load the passwords that are tried first, in lower case."""
    text = (files("identity") / "reference" / "common_passwords.txt").read_text(encoding="utf-8")
    lines = (line.strip() for line in text.splitlines())
    return frozenset(line for line in lines if line and not line.startswith("#"))


def check_password(password: str, known: Collection[str] = ()) -> None:
    """Refuse a password that is too short, or made up of common ones or of what is `known`.

    `known` is what an attacker knows of this person: the name and the parts of the e-mail address.
    """
    if len(password) < SHORTEST:
        raise PasswordTooShort
    folded = _fold(password)
    blocked = common_passwords() | {_fold(word) for word in known}
    for text in {folded, folded.translate(PLAIN)}:
        if _is_made_of(text[:LONGEST_JUDGED], blocked):
            raise PasswordTooCommon


def _fold(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum() or c in "@$!")


def _is_made_of(text: str, blocked: Collection[str]) -> bool:
    """Whether the text is at most four pieces that are each blocked, a run or a repetition.

    A few characters between or after the pieces do not make it better.
    """
    spare = 3
    best = {(0, 0): 0}
    for start in range(len(text)):
        for pieces in range(MOST_PIECES + 1):
            lost = best.get((start, pieces))
            if lost is None:
                continue
            if lost < spare:
                _note(best, (start + 1, pieces), lost + 1)
            if pieces < MOST_PIECES:
                for end in range(start + SHORTEST_PIECE, len(text) + 1):
                    if _is_easy(text[start:end], blocked):
                        _note(best, (end, pieces + 1), lost)
    return not text or any((len(text), pieces) in best for pieces in range(MOST_PIECES + 1))


def _note(best: dict[tuple[int, int], int], place: tuple[int, int], lost: int) -> None:
    best[place] = min(lost, best.get(place, lost))


def _is_easy(piece: str, blocked: Collection[str]) -> bool:
    if piece in blocked or YEAR.fullmatch(piece):
        return True
    return _is_run(piece) or _is_repeated(piece, blocked)


def _is_run(piece: str) -> bool:
    """Whether the piece runs along a row of the keyboard, the alphabet or the digits."""
    return any(piece in row or piece[::-1] in row for row in ROWS)


def _is_repeated(piece: str, blocked: Collection[str]) -> bool:
    """Whether the piece is one short unit again and again, as in `ababab`."""
    for size in range(1, len(piece) // 2 + 1):
        if len(piece) % size:
            continue
        units = [piece[at : at + size] for at in range(0, len(piece), size)]
        if all(one == other for one, other in pairwise(units)):
            return size <= SHORTEST_PIECE or units[0] in blocked or _is_run(units[0])
    return False
