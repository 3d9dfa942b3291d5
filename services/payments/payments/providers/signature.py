"""Checking the signature of a webhook as Standard Webhooks 1.0.0 defines it."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from payments.providers.port import BadSignature

SECRET_PREFIX: Final = "whsec_"  # noqa: S105  (what every secret begins with)
TOLERANCE: Final = 300
ID_FORM: Final = re.compile(r"[A-Za-z0-9._:-]{1,100}")
TIME_FORM: Final = re.compile(r"[0-9]{1,12}", re.ASCII)


def key_of(secret: str) -> bytes:
    """The signing key of a secret; raises ValueError when what follows `whsec_` is not base64."""
    if not secret.startswith(SECRET_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("what follows whsec_ must be base64") from None


def verify(keys: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: float) -> str:
    """The webhook's id, when any key made any of its signatures within five minutes of `now`."""
    webhook_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not ID_FORM.fullmatch(webhook_id) or not TIME_FORM.fullmatch(timestamp):
        raise BadSignature
    if abs(now - int(timestamp)) > TOLERANCE:
        raise BadSignature
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    given = list(_signatures(headers.get("webhook-signature", "")))
    expected = [hmac.digest(key, signed, hashlib.sha256) for key in keys]
    if not any(hmac.compare_digest(one, other) for one in given for other in expected):
        raise BadSignature
    return webhook_id


def _signatures(header: str) -> Iterable[bytes]:
    """Those of version 1 that are base64; anything else signs nothing."""
    for part in header.split(" ")[:10]:
        version, _, encoded = part.partition(",")
        if version != "v1":
            continue
        try:
            yield base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            continue
