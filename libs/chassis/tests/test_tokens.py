"""The stored form of tokens."""

import hashlib

from chassis.tokens import hash_of


def test_a_token_is_stored_as_its_sha_256_in_hex() -> None:
    assert hash_of("ord_abc") == hashlib.sha256(b"ord_abc").hexdigest()


def test_a_token_of_lone_surrogates_is_unknown() -> None:
    assert len(hash_of("\ud800")) == 64
