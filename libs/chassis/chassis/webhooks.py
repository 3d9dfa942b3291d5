"""Verifies the signatures of incoming webhooks by Standard Webhooks 1.0.0."""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from chassis.errors import Unauthenticated

SECRET_PREFIX: Final = "whsec_"  # noqa: S105  (a prefix, not a secret)
TOLERANCE: Final = 300.0
MAX_SIGNATURES: Final = 10
ID_FORM: Final = re.compile(r"[!-~]{1,100}")
TIME_FORM: Final = re.compile(r"[0-9]{1,12}")


class BadSignature(Unauthenticated):
    """The webhook's signature is missing or wrong."""

    code = "bad_signature"


def key_of(secret: str) -> bytes:
    """The signing key of a secret. Raises ValueError when the part after `whsec_` is not base64."""
    if not secret.startswith(SECRET_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError:
        raise ValueError("the part after whsec_ must be base64") from None


def verify(
    keys: Iterable[bytes],
    headers: Mapping[str, str],
    body: bytes,
    now: float,
    tolerance: float = TOLERANCE,
) -> str:
    """Verify that any of the keys made any of the signatures; returns the webhook's stable id.

    headers: with lower-case names. now: in seconds since 1970. Raises BadSignature, also for a
    webhook more than `tolerance` seconds in the past or future.
    """
    webhook_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not ID_FORM.fullmatch(webhook_id) or not TIME_FORM.fullmatch(timestamp):
        raise BadSignature
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    given = list(_signatures(headers.get("webhook-signature", "")))
    expected = [hmac.digest(key, signed, hashlib.sha256) for key in keys]
    if not any(hmac.compare_digest(one, other) for one in given for other in expected):
        raise BadSignature
    if abs(now - int(timestamp)) > tolerance:
        raise BadSignature("The webhook's timestamp is too old or in the future.")
    return webhook_id


def _signatures(header: str) -> Iterator[bytes]:
    """The signatures of version 1; others are ignored."""
    for part in header.split(" ")[:MAX_SIGNATURES]:
        version, _, encoded = part.partition(",")
        if version != "v1":
            continue
        try:
            yield base64.b64decode(encoded, validate=True)
        except ValueError:
            continue
