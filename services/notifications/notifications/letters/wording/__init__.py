"""The words of each language: what a type is headed, what it says, and how facts are called."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import ChainableUndefined, Environment, Template
from pydantic import BaseModel, ConfigDict

from notifications.domain.kind import Kind
from notifications.letters.money import Marks, write

LOCALES: Final = ("en", "de")
LONGEST_TITLE: Final = 255
LONGEST_CONTENT: Final = 1000

# No-break spaces stay: they hold an amount and its currency together.
_GAPS: Final = re.compile(r"[ \t\r\n\v\f\x1c-\x1f\x85\u2028\u2029]+")

_words = Environment(undefined=ChainableUndefined, autoescape=False)  # noqa: S701  (plain text)


class Wording(BaseModel):
    """The words of one type, each a small template over the facts.

    subject: also the title in the app. content: what it is about, in a sentence or two.
    button: what the link says. note: what else a mail must say.
    """

    model_config = ConfigDict(extra="forbid")

    subject: str
    content: str
    button: str = ""
    note: str = ""


class Language(BaseModel):
    """All words of one language; `reasons` are those of codes, `labels` those of facts."""

    model_config = ConfigDict(extra="forbid")

    decimal: str
    group: str
    is_currency_first: bool
    greeting: str
    closing: str
    link_fails: str
    code: str
    labels: dict[str, str]
    reasons: dict[str, str]
    types: dict[Kind, Wording]

    @property
    def marks(self) -> Marks:
        """How amounts are written."""
        return Marks(self.decimal, self.group, self.is_currency_first)


@dataclass(frozen=True, slots=True)
class Headline:
    """What a notification says in short: a title and a sentence or two."""

    title: str
    content: str


@cache
def language(locale: str) -> Language:
    """The words of a language we have."""
    source = files(__name__).joinpath(f"{locale}.toml").read_text("utf-8")
    return Language.model_validate(tomllib.loads(source))


def locale_of(facts: Mapping[str, Any], otherwise: str) -> str:
    """The language asked for, such as `de` for `de-AT`; the default where we do not speak it."""
    wanted = facts.get("locale")
    spoken = wanted.replace("_", "-").split("-")[0].lower() if isinstance(wanted, str) else ""
    return spoken if spoken in LOCALES else otherwise


def spoken(locale: str, facts: Mapping[str, Any]) -> dict[str, str]:
    """The facts as this language says them: amounts written out, reasons in words, none empty."""
    words = language(locale)
    said = {name: _say(words, fact) for name, fact in facts.items()}
    if "reason" in said:
        said["reason"] = words.reasons.get(said["reason"], said["reason"])
    return {name: fact for name, fact in said.items() if fact}


def _say(words: Language, fact: Any) -> str:
    if isinstance(fact, Mapping):
        try:
            return write(int(fact["amount"]), str(fact["currency"]), words.marks)
        except (KeyError, TypeError, ValueError):
            return ""
    return "" if fact is None else str(fact).strip()


@cache
def _template(source: str) -> Template:
    return _words.from_string(source)


def fill(source: str, facts: Mapping[str, str]) -> str:
    """Fill a wording; what is missing leaves no gap, and the text is one line."""
    return _GAPS.sub(" ", _template(source).render(facts)).strip()


def tell(kind: Kind, locale: str, facts: Mapping[str, Any]) -> Headline:
    """What a type says of these facts, in short."""
    words, said = language(locale).types[kind], spoken(locale, facts)
    return Headline(
        fill(words.subject, said)[:LONGEST_TITLE], fill(words.content, said)[:LONGEST_CONTENT]
    )
