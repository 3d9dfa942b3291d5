"""Texts of each type and language, rendered as a headline for the app and as a mail's two bodies.

`notifications/templates/<locale>.toml` holds all texts of a language, each a small template over
the facts of a message; a missing fact leaves no gap. `mail.html` and `mail.txt` are the layout.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import ChainableUndefined, Environment, PackageLoader, Template
from pydantic import BaseModel, ConfigDict

from notifications.domain.notification import Kind

LOCALES: Final = ("en", "de")
MAX_TITLE: Final = 255
MAX_CONTENT: Final = 1000
# The facts that a mail lists, in this order.
LISTED: Final = ("order_number", "total", "refund", "carrier", "tracking_number", "reason")

DEFAULT_DIGITS: Final = 2
# ISO 4217, list one, "minor unit", where it is not two.
DIGITS: Final[dict[str, int]] = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW"), 0),
    **dict.fromkeys(("PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
SYMBOLS: Final[dict[str, str]] = {"EUR": "€", "GBP": "£", "JPY": "¥", "USD": "$"}
NO_BREAK: Final = "\N{NO-BREAK SPACE}"
# No-break spaces stay: they keep an amount and its currency on one line.
_GAPS: Final = re.compile(r"[ \t\r\n\v\f\x1c-\x1f\x85\u2028\u2029]+")

_texts = Environment(undefined=ChainableUndefined, autoescape=False)  # noqa: S701  (plain text)


def _layout(name: str, *, is_html: bool) -> Template:
    environment = Environment(
        loader=PackageLoader("notifications"),
        autoescape=is_html,  # noqa: S701  (the other layout is plain text)
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)


HTML: Final = _layout("mail.html", is_html=True)
TEXT: Final = _layout("mail.txt", is_html=False)


class NumberFormat(BaseModel):
    """How a language writes amounts: decimal and group marks, and the side of the currency."""

    model_config = ConfigDict(extra="forbid")

    decimal: str
    group: str
    is_currency_first: bool


class EmailTemplate(BaseModel):
    """The texts of one type, each a small template over the facts.

    subject: also the title in the app. content: a sentence or two. button: the label of the link.
    note: a further paragraph of the mail.
    """

    model_config = ConfigDict(extra="forbid")

    subject: str
    content: str
    button: str = ""
    note: str = ""


class Language(NumberFormat):
    """All texts of one language; `reasons` are by reason code, `labels` by the name of a fact."""

    greeting: str
    closing: str
    link_fails: str
    code: str
    labels: dict[str, str]
    reasons: dict[str, str]
    types: dict[Kind, EmailTemplate]


@dataclass(frozen=True, slots=True)
class Headline:
    """A notification in short: a title and a sentence or two."""

    title: str
    content: str


@dataclass(frozen=True, slots=True)
class EmailBody:
    """A mail's two bodies, with the same text."""

    html: str
    text: str


@cache
def load_language(locale: str) -> Language:
    source = files("notifications").joinpath("templates", f"{locale}.toml").read_text("utf-8")
    return Language.model_validate(tomllib.loads(source))


def choose_locale(facts: Mapping[str, Any], default: str) -> str:
    """The language of `facts["locale"]`, such as `de` for `de-AT`; `default` if there is none."""
    wanted = facts.get("locale")
    language = wanted.replace("_", "-").split("-")[0].lower() if isinstance(wanted, str) else ""
    return language if language in LOCALES else default


def render_headline(kind: Kind, locale: str, facts: Mapping[str, Any]) -> Headline:
    """The subject and content of a type, filled with these facts."""
    language = load_language(locale)
    template, values = language.types[kind], localize(language, facts)
    return Headline(
        fill(template.subject, values)[:MAX_TITLE], fill(template.content, values)[:MAX_CONTENT]
    )


def render_email(
    kind: Kind, locale: str, subject: str, facts: Mapping[str, Any], shop: str
) -> EmailBody:
    """The bodies of a mail; a missing fact is left out."""
    language = load_language(locale)
    template, values = language.types[kind], {**localize(language, facts), "shop": shop}
    link = values.get("link", "")
    page = {
        "locale": locale,
        "shop": shop,
        "subject": subject,
        "greeting": fill(language.greeting, values),
        "content": fill(template.content, values),
        "items": values.get("items", "").splitlines(),
        "items_label": language.labels["items"],
        "listed": [(language.labels[name], values[name]) for name in LISTED if name in values],
        # Some mail programs would run an address of another scheme instead of opening it.
        "link": link if link.startswith(("https://", "http://")) else "",
        "button": template.button,
        "link_fails": language.link_fails,
        "code": values.get("token", ""),
        "code_label": language.code,
        "note": fill(template.note, values),
        "closing": fill(language.closing, values),
    }
    return EmailBody(HTML.render(page), TEXT.render(page))


def localize(language: Language, facts: Mapping[str, Any]) -> dict[str, str]:
    """The facts as text: amounts formatted, reason codes as sentences, empty facts left out."""
    values = {name: _as_text(language, fact) for name, fact in facts.items()}
    if "reason" in values:
        values["reason"] = language.reasons.get(values["reason"], values["reason"])
    return {name: value for name, value in values.items() if value}


def _as_text(language: Language, fact: Any) -> str:
    if isinstance(fact, Mapping):
        try:
            return format_amount(int(fact["amount"]), str(fact["currency"]), language)
        except (KeyError, TypeError, ValueError):
            return ""
    return "" if fact is None else str(fact).strip()


def fill(source: str, values: Mapping[str, str]) -> str:
    """Render a text on one line; a missing value leaves no gap."""
    return _GAPS.sub(" ", _template(source).render(values)).strip()


@cache
def _template(source: str) -> Template:
    return _texts.from_string(source)


def format_amount(amount: int, currency: str, style: NumberFormat) -> str:
    """An amount in minor units as text: `$1,299.00`, `1.299,00 €`, `¥1,299`, `KWD 1.299`."""
    digits = DIGITS.get(currency, DEFAULT_DIGITS)
    whole, fraction = divmod(abs(amount), 10**digits)
    number = f"{whole:,}".replace(",", style.group)
    if digits:
        number += f"{style.decimal}{fraction:0{digits}}"
    sign = "-" if amount < 0 else ""
    symbol = SYMBOLS.get(currency, currency)
    if not style.is_currency_first:
        return f"{sign}{number}{NO_BREAK}{symbol}"
    gap = NO_BREAK if symbol == currency else ""
    return f"{sign}{symbol}{gap}{number}"
