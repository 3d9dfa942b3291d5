"""Structured logs: one JSON object per line, with service, trace, order and actor.

Never logged: values under a secret's name and, anywhere in a text, e-mail addresses, card numbers,
signed tokens, credentials in URLs and the details of PostgreSQL's errors, which quote rows.
"""

import logging
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from structlog.typing import EventDict, Processor

from chassis import context
from chassis.card_numbers import passes_luhn
from chassis.per_service import service_name

SECRET_WORDS = ("password", "token", "secret", "authorization", "cookie", "api_key")


# 13 to 19 digits, with or without separators, that are not part of an id; then checked by Luhn.
CARD = re.compile(r"(?<![\w.-])(?:[0-9][ -]?){12,18}[0-9](?![\w-])")


def _label_found(label: str) -> Callable[[re.Match[str]], str]:
    """The replacement of a match whose group `found` took part; another match stays as it is.

    A pattern consumes a run of characters that does not match as well, and gives none back (`++`):
    otherwise a long run would be read again from each of its characters.
    """
    return lambda match: label if match["found"] else match[0]


# Secrets by their form: in a URL, in a query or form, signed tokens, and tokens by their prefix.
SECRETS: Sequence[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = (
    (re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"), "[credentials]"),
    (re.compile(r"(?i)\b((?:\w*token|secret|password|api_?key)=)[^\s&#\"'<>,;)]+"), r"\1[token]"),
    (re.compile(r"\beyJ[\w-]++(?P<found>\.[\w-]++\.[\w-]++)?"), _label_found("[token]")),
    (re.compile(r"\b(?:ord|cart|feed|whsec)_[\w/+=-]{16,}"), "[token]"),
    (re.compile(r"\b(?:pm|tok)_\w+"), "[token]"),
)
EMAIL = re.compile(r"[\w.%+-]++(?P<found>@[\w-]++(?:\.[\w-]++)++)?")
# PostgreSQL's DETAIL quotes a row or key, over several lines, and up to what the driver, SQLAlchemy
# or Python adds; in a `repr` the ends of lines are escaped.
DETAIL = re.compile(
    r"(?s)DETAIL: .*?(?=(?:\n|\\n)(?:HINT: |\[SQL: |(?:\n|\\n)(?:The above|During handling))|\Z)"
)


def _add_context(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Add the current context to the line."""
    now = context.current()
    event["service"] = service_name()
    for name in ("trace_id", "correlation_id", "request_id"):
        value = getattr(now, name)
        if value is not None:
            event[name] = value
    event.setdefault("actor", now.actor)
    return event


def _redact_event(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Redact secrets and e-mail addresses at any depth."""
    return {key: _redact_value(key, value, redact_text) for key, value in event.items()}


def redact(value: Any) -> Any:
    """Redact secrets in a nested value, by name and by form, to show it to an operator."""
    return _redact_value("", value, redact_secrets)


def redact_secrets(text: str) -> str:
    """Redact secrets in a text."""
    for shape, instead in SECRETS:
        text = shape.sub(instead, text)
    return CARD.sub(_redact_card, text)


def redact_text(text: str) -> str:
    """Redact secrets, e-mail addresses and the details of database errors in a text."""
    text = DETAIL.sub("DETAIL: [redacted]", redact_secrets(text))
    return EMAIL.sub(_label_found("[e-mail]"), text)


def _redact_card(found: re.Match[str]) -> str:
    """`[card]` for a number with a valid check digit (ISO/IEC 7812-1, Luhn)."""
    digits = [int(each) for each in found[0] if each.isdigit()]
    return "[card]" if passes_luhn(digits) else found[0]


def _redact_value(key: object, value: Any, clean: Callable[[str], str]) -> Any:
    if any(word in str(key).lower() for word in SECRET_WORDS):
        return "[redacted]"
    if isinstance(value, Mapping):
        return {inner: _redact_value(inner, each, clean) for inner, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact_value("", each, clean) for each in value]
    if value is None or isinstance(value, bool | int | float | datetime | UUID):
        return value
    return clean(value if isinstance(value, str) else str(value))


LINE: list[Processor] = [
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _add_context,
    # An exception's message may hold the value that it failed on, so it is redacted as well.
    structlog.processors.format_exc_info,
    _redact_event,
]
RENDER = structlog.processors.JSONRenderer(default=str)


def configure(level: str) -> None:
    """Send structlog's lines, and the standard library's warnings, to stdout as JSON."""
    structlog.configure(
        processors=[*LINE, RENDER],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=LINE,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, RENDER],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
