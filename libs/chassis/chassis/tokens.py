"""Opaque tokens, handed out once and kept only as their hash."""

import hashlib


def hash_of(token: str) -> str:
    """How a token is kept: SHA-256 in hex, enough for a text that nobody can guess."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
