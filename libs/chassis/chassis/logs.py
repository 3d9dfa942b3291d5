"""Structured logs: one JSON object a line, with the service, trace, order and actor of the work.

What is never written down: values under a secret's name, and, wherever it stands, what looks like
an e-mail address, a card's number, a signed token or the credentials in an address.
"""

import logging
import re
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from structlog.typing import EventDict, Processor

from chassis import context
from chassis.card_numbers import passes_luhn

SECRET_WORDS = ("password", "token", "secret", "authorization", "cookie", "api_key")


# Digits as on a card, with or without gaps, and no part of an id; the check digit says the rest.
CARD = re.compile(r"(?<![\w.-])(?:[0-9][ -]?){12,18}[0-9](?![\w-])")
# A secret by its value: in an address, in a query or a form, a signed token, and ours and the
# provider's by what they begin with.
SECRETS = (
    (re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"), "[credentials]"),
    (re.compile(r"(?i)\b((?:\w*token|secret|password|api_?key)=)[^\s&#\"'<>,;)]+"), r"\1[token]"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+"), "[token]"),
    (re.compile(r"\b(?:ord|cart|feed|whsec)_[\w/+=-]{16,}"), "[token]"),
    (re.compile(r"\b(?:pm|tok)_\w+"), "[token]"),
)
EMAIL = (re.compile(r"[\w.%+-]+@[\w-]+(?:\.[\w-]+)+"), "[e-mail]")


def _place(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Say where the line belongs."""
    now = context.current()
    if now.traceparent:
        event["trace_id"] = now.traceparent.split("-")[1]
    for name in ("correlation_id", "request_id"):
        value = getattr(now, name)
        if value is not None:
            event[name] = value
    event.setdefault("actor", now.actor)
    return event


def _redact_event(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Never write down a secret, whatever it is called and however deep it lies."""
    return {key: _safe(key, value, redact_text) for key, value in event.items()}


def redact(value: Any) -> Any:
    """The same without secrets, by their names and by their shapes, for people to look at."""
    return _safe("", value, redact_secrets)


def redact_secrets(text: str) -> str:
    """A text without what looks like a secret."""
    for shape, instead in SECRETS:
        text = shape.sub(instead, text)
    return CARD.sub(_without_card, text)


def redact_text(text: str) -> str:
    """A text without what looks like a secret or a person's address."""
    shape, instead = EMAIL
    return shape.sub(instead, redact_secrets(text))


def _without_card(found: re.Match[str]) -> str:
    """Nothing of a number whose last digit is that of a card (ISO/IEC 7812-1, Luhn)."""
    digits = [int(each) for each in found[0] if each.isdigit()]
    return "[card]" if passes_luhn(digits) else found[0]


def _safe(key: object, value: Any, clean: Callable[[str], str]) -> Any:
    if any(word in str(key).lower() for word in SECRET_WORDS):
        return "[redacted]"
    if isinstance(value, Mapping):
        return {inner: _safe(inner, each, clean) for inner, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_safe("", each, clean) for each in value]
    if value is None or isinstance(value, bool | int | float | datetime | UUID):
        return value
    return clean(value if isinstance(value, str) else str(value))


LINE: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _place,
    # A fault's own words may hold what it failed on, so they are looked through as well.
    structlog.processors.format_exc_info,
    _redact_event,
]
RENDER = structlog.processors.JSONRenderer(default=str)


def configure(service: str, level: str) -> None:
    """Send structlog's lines, and the standard library's warnings, to stdout as JSON."""
    structlog.configure(
        processors=[*LINE, RENDER],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=LINE,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, RENDER],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
