"""The generated secrets of an instance: passwords, keys and the files services read them from."""

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from suite.service_list import Entry


@dataclass(frozen=True)
class Secrets:
    """Passwords by purpose (`database:orders`), readable by their owner alone."""

    values: dict[str, str]
    signing_key_file: Path
    service_clients_file: Path

    def __getitem__(self, purpose: str) -> str:
        return self.values[purpose]


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, replacing the old one atomically."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.replace(path)


def ensure(folder: Path, services: Iterable[Entry]) -> Secrets:
    """Load the secrets of the instance and generate those that are missing."""
    services = list(services)
    file = folder / "secrets.json"
    values: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    purposes = ["database:postgres", "database:migrator", "database:sandbox", "broker:admin"]
    purposes += ["erlang:cookie", "provider:key", "provider:webhook", "admin:password"]
    for service in services:
        purposes += [f"{kind}:{service.name}" for kind in ("database", "broker", "client")]
        purposes += service.all_secrets.values()
    clients = folder / "service-clients.json"
    if missing := [purpose for purpose in purposes if purpose not in values]:
        values |= {purpose: secrets.token_urlsafe(24) for purpose in missing}
        write_private(file, json.dumps(values, indent=2) + "\n")
        names = [service.name for service in services]
        write_private(clients, json.dumps({name: values[f"client:{name}"] for name in names}))
    key = folder / "signing-key.pem"
    if not key.exists():
        write_private(key, _signing_key())
    return Secrets(values, key, clients)


def _signing_key() -> str:
    """Generate a P-256 private key in PEM, for ES256 tokens."""
    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )
