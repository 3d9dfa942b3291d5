"""Random secrets that are handed out once and kept only as their hash."""

import hashlib
import secrets

SECRET_BYTES = 32


def fresh() -> str:
    """Make a secret of 256 bits, safe in a URL."""
    return secrets.token_urlsafe(SECRET_BYTES)


def hashed(secret: str) -> str:
    """Hash a secret for keeping: SHA-256 in hex, enough for a text nobody can guess."""
    return hashlib.sha256(secret.encode()).hexdigest()
