"""Secrets are generated, stored, and readable by their owner alone."""

import base64
import hashlib
import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from provision.broker import password_hash
from suite import secrets
from suite.service_list import Entry

ORDERS, CART = Entry(name="orders", secrets={"TOKEN_SECRET": "orders:token"}), Entry(name="cart")


def test_only_the_owner_can_read_a_secret(tmp_path: Path) -> None:
    secrets.ensure(tmp_path, [ORDERS])

    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_secrets_are_stable_and_a_new_service_gets_its_own(tmp_path: Path) -> None:
    before = secrets.ensure(tmp_path, [ORDERS])
    after = secrets.ensure(tmp_path, [ORDERS, CART])

    assert "orders:token" in before.values
    assert before.values.items() <= after.values.items()
    assert len(set(after.values.values())) == len(after.values)
    clients = json.loads(after.service_clients_file.read_text())
    assert clients == {"orders": after["client:orders"], "cart": after["client:cart"]}


def test_the_signing_key_is_valid_for_es256(tmp_path: Path) -> None:
    key = load_pem_private_key(secrets.ensure(tmp_path, []).signing_key_file.read_bytes(), None)

    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(key.curve, ec.SECP256R1)


def test_a_broker_password_hash_begins_with_its_salt() -> None:
    stored = base64.b64decode(password_hash("long and random"))

    assert stored[4:] == hashlib.sha256(stored[:4] + b"long and random").digest()
    assert password_hash("long and random") == password_hash("long and random")
