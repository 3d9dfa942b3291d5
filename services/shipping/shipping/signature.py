"""Whether a webhook comes from who it says, as Standard Webhooks 1.0.0 describes."""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime

from chassis.errors import Unauthenticated
from shipping.settings import SECRET_PREFIX


class BadSignature(Unauthenticated):
    """The webhook is not signed by this provider."""

    code = "bad_signature"


class TooOld(Unauthenticated):
    """The webhook was sent too long ago, or its clock is wrong."""

    code = "webhook_too_old"


def verify(
    secrets: Iterable[str],
    *,
    webhook_id: str,
    timestamp: str,
    signatures: str,
    body: bytes,
    now: datetime,
    tolerance: float,
) -> None:
    """Refuse a webhook that no secret signed, or that is older or newer than `tolerance` seconds.

    `signatures` are `v1,<base64>` parted by spaces, several during a rotation.
    """
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    given = [each.encode() for each in signatures.split(" ")]
    matches = [
        hmac.compare_digest(b"v1," + base64.b64encode(digest), each)
        for digest in (hmac.digest(key_of(secret), signed, hashlib.sha256) for secret in secrets)
        for each in given
    ]
    if not any(matches):
        raise BadSignature
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):  # noqa: PLR2004
        raise BadSignature
    if abs(now.timestamp() - int(timestamp)) > tolerance:
        raise TooOld


def key_of(secret: str) -> bytes:
    """Take the key out of a `whsec_…` secret; its form was checked at start."""
    return base64.b64decode(secret.removeprefix(SECRET_PREFIX))
