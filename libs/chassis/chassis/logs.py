"""Structured logs: one JSON object a line, with the service, trace, order and actor of the work."""

import logging
import sys
from collections.abc import Mapping
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

from chassis import context

SECRET_WORDS = ("password", "token", "secret", "authorization", "cookie", "api_key")


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


def _redact(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Never write down a secret, whatever it is called and however deep it lies."""
    return {key: _safe(key, value) for key, value in event.items()}


def redacted(value: Any) -> Any:
    """The same without what bears the name of a secret, for people to look at."""
    return _safe("", value)


def _safe(key: object, value: Any) -> Any:
    if any(word in str(key).lower() for word in SECRET_WORDS):
        return "[redacted]"
    if isinstance(value, Mapping):
        return {inner: _safe(inner, each) for inner, each in value.items()}
    if isinstance(value, list | tuple):
        return [_safe("", each) for each in value]
    return value


LINE: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _place,
    _redact,
    structlog.processors.format_exc_info,
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
