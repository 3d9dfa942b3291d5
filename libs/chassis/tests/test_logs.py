"""Log lines as a process really writes them: JSON, placed, and without secrets."""

import json
import subprocess
import sys
import time
from typing import Any

import pytest

from chassis.logs import redact_text
from chassis.ops.views import readable

TALKATIVE = """
import logging, structlog
from chassis import context, logs
from chassis.per_service import use_service

logs.configure("INFO")
log = structlog.get_logger()
place = context.Context(
    actor="user:1", span=context.remote_span("00-" + "a" * 32 + "-" + "b" * 16 + "-01"), correlation_id="order 1"
)
with use_service("sample"), context.use_context(place):
    log.info("plain", shelf=3)
    log.debug("below the level")
    log.warning(
        "careless",
        password="canary-1",
        X_Order_Token="canary-2",
        headers={"Authorization": "canary-3", "accept": "text/plain"},
        sent=[{"api_key": "canary-4"}],
    )
    try:
        raise ValueError("a fault of canary@example.com")
    except ValueError:
        log.exception("failed")
    log.warning(
        "shaped",
        text="canary+1@shop.example.com paid with 4000 0000 0000 0002, or 4242424242424242",
        error=RuntimeError("amqp://orders:canary-5@127.0.0.1:5672 refused"),
        address="https://shop.example/a?token=canary-6&b=1#c ord_canary7890123456789012",
        paid="with tok_canary8 and pm_canary9, access_token=canary-10",
        sent={"a": ["eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.Y2FuYXJ5"]},
        harmless=["2026-000123", "cart_id and order_id", "4242424242424241", "01a1ff2d-dc7f-7604-a19e-e2c7b1ac57f1", "1" * 32],
    )
logging.getLogger("driver").warning('it answered "no" to %s', "us")
logging.getLogger("driver").warning("Key (email)=(%s) exists", "canary@example.com")
detail = "duplicate key\\nDETAIL:  Failing row contains (canary-11,\\n\\ncanary-12)."
log.warning("violated", error=repr(ValueError(detail + "\\nHINT:  read it\\n[SQL: insert]")))
try:
    try:
        raise ValueError(detail)
    except ValueError as error:
        raise RuntimeError("wrapped") from error
except RuntimeError:
    log.exception("chained")
"""


def lines() -> tuple[str, dict[str, dict[str, Any]]]:
    done = subprocess.run(
        [sys.executable, "-c", TALKATIVE], capture_output=True, text=True, check=True
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return done.stdout + done.stderr, {line["event"]: line for line in found}


def test_what_a_process_writes_is_json_in_its_place_and_holds_no_secret() -> None:
    written, by_event = lines()

    assert by_event["plain"] | {"timestamp": ""} == {
        "event": "plain",
        "level": "info",
        "service": "sample",
        "shelf": 3,
        "actor": "user:1",
        "correlation_id": "order 1",
        "trace_id": "a" * 32,
        "timestamp": "",
    }
    assert "canary" not in written
    assert by_event["careless"]["headers"] == {
        "Authorization": "[redacted]",
        "accept": "text/plain",
    }
    assert "below the level" not in by_event
    assert "ValueError: a fault of [e-mail]" in by_event["failed"]["exception"]
    shaped = by_event["shaped"]
    assert shaped["text"] == "[e-mail] paid with [card], or [card]"
    assert "amqp://[credentials]@127.0.0.1:5672 refused" in shaped["error"]
    assert shaped["address"] == "https://shop.example/a?token=[token]&b=1#c [token]"
    assert shaped["paid"] == "with [token] and [token], access_token=[token]"
    assert shaped["sent"] == {"a": ["[token]"]}
    assert shaped["harmless"][:3] == ["2026-000123", "cart_id and order_id", "4242424242424241"]
    assert shaped["harmless"][3:] == ["01a1ff2d-dc7f-7604-a19e-e2c7b1ac57f1", "1" * 32]
    assert "Key (email)=([e-mail]) exists" in by_event
    assert by_event["violated"]["error"] == (
        r"ValueError('duplicate key\nDETAIL: [redacted]\nHINT:  read it\n[SQL: insert]')"
    )
    chained = by_event["chained"]["exception"]
    assert "duplicate key\nDETAIL: [redacted]\n\nThe above exception" in chained
    assert chained.endswith("RuntimeError: wrapped")
    assert by_event['it answered "no" to us']["level"] == "warning"


def test_a_message_is_shown_to_people_without_its_secrets() -> None:
    link = "https://shop.example/reset-password?token=canary"
    body = {"facts": {"name": "Ada", "link": link, "text": ["ord_canary7890123456789012"]}}
    shown = readable(json.dumps(body).encode())
    assert shown["facts"]["name"] == "Ada"
    assert "canary" not in str(shown)
    assert "canary" not in readable(b"\xff no JSON, token=canary")


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("a@b.example", "[e-mail]"),
        ("a@b.example..c@d.example", "[e-mail][e-mail]"),
        ("a@b@c.example", "a@[e-mail]"),
        ("a@b a.b @c.d", "a@b a.b @c.d"),
        ("eyJa.b.c eyJa.b eyJ-eyJa.b.c", "[token] eyJa.b [token]"),
        ("x-eyJa.b.c.d", "x-[token].d"),
    ],
)
def test_what_is_redacted_is_found_wherever_it_begins(text: str, redacted: str) -> None:
    assert redact_text(text) == redacted


@pytest.mark.parametrize("part", ["a", "eyJ-", "eyJa.!", "a@", "a_token", "://a:", "cart_ ", "1 "])
def test_a_long_text_is_read_once(part: str) -> None:
    """Read again from each character, the text takes minutes of the processor's time."""
    text = part * (400_000 // len(part))
    began = time.thread_time()
    assert redact_text(text) == text
    assert time.thread_time() - began < 5
