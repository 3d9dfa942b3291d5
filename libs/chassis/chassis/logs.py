"""Structured logs: one JSON object a line, with the trace, order and actor of the work at hand."""

import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict

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
    """Never write down a secret, whatever it is called."""
    for key in event:
        if any(word in key.lower() for word in SECRET_WORDS):
            event[key] = "[redacted]"
    return event


def configure(service: str, level: str) -> None:
    """Send structlog's and the standard library's lines to stdout as JSON."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _place,
            _redact,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    logging.basicConfig(
        level=logging.WARNING,
        format='{"level":"%(levelname)s","logger":"%(name)s","event":"%(message)s"}',
        stream=sys.stdout,
        force=True,
    )
