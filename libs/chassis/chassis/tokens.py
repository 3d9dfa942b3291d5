"""Opaque tokens, returned once and stored as a hash only."""

import hashlib


def hash_of(token: str) -> str:
    """The stored form of a token: SHA-256 in hex, which suffices for a random token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
