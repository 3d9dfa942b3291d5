"""Secrets that are handed out and stored only as their hash."""

import base64
import hashlib
import hmac
import secrets
from uuid import UUID

SECRET_BYTES = 32


def fresh() -> str:
    """Make a secret of 256 bits, safe in a URL."""
    return secrets.token_urlsafe(SECRET_BYTES)


def derived(key: bytes, row_id: UUID) -> str:
    """Derive the secret of a row, of 256 bits and safe in a URL: the same as long as the key is."""
    mac = hmac.digest(key, row_id.bytes, hashlib.sha256)
    return base64.urlsafe_b64encode(mac).decode().rstrip("=")


def hashed(secret: str) -> str:
    """Hash a secret for keeping: SHA-256 in hex, enough for a text nobody can guess."""
    return hashlib.sha256(secret.encode()).hexdigest()
