"""The keys that sign tokens, named by their thumbprint, and the tokens they sign."""

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from chassis.keys import MAX_LIFETIME
from identity.domain.access import Access

COORDINATE_BYTES = 32
SERVICE_TOKEN_SECONDS = MAX_LIFETIME
DERIVED_BYTES = 32
SERVICE_TOKEN_SECONDS = 600


def load(path: Path) -> EllipticCurvePrivateKey:
    """Read a P-256 private key from a PEM file; raises ValueError with what is wrong."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ValueError(f"the key file cannot be read ({error.strerror})") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("the key file holds no readable private key in PEM") from None
    if not isinstance(key, EllipticCurvePrivateKey) or key.curve.name != SECP256R1.name:
        raise ValueError("the key file must hold an EC P-256 private key")
    return key


def derived_key(key: EllipticCurvePrivateKey, purpose: bytes) -> bytes:
    """Derive a symmetric key for one purpose from a signing key (HKDF, RFC 5869)."""
    number = key.private_numbers().private_value.to_bytes(COORDINATE_BYTES, "big")
    return HKDF(SHA256(), DERIVED_BYTES, salt=None, info=purpose).derive(number)


def _coordinate(number: int) -> str:
    raw = number.to_bytes(COORDINATE_BYTES, "big")
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@dataclass(frozen=True)
class PublicKey:
    """A public key as the key set shows it; `id` is its RFC 7638 thumbprint."""

    key: EllipticCurvePublicKey
    id: str
    document: dict[str, str]

    @classmethod
    def of(cls, key: EllipticCurvePublicKey) -> "PublicKey":
        """Name a key by its thumbprint: SHA-256 over its required members in order."""
        numbers = key.public_numbers()
        members = {
            "crv": "P-256",
            "kty": "EC",
            "x": _coordinate(numbers.x),
            "y": _coordinate(numbers.y),
        }
        digest = hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest()
        thumbprint = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        document = {**members, "kid": thumbprint, "alg": "ES256", "use": "sig"}
        return cls(key, thumbprint, document)


class Issuer:
    """Signs tokens with the current key; tokens of the previous key stay good until they expire."""

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        access_token_seconds: float,
        current: EllipticCurvePrivateKey,
        previous: EllipticCurvePrivateKey | None = None,
    ) -> None:
        self.issuer = issuer
        self.audience = audience
        self.access_token_seconds = access_token_seconds
        self._current = current
        known = [current] if previous is None else [current, previous]
        shown = [PublicKey.of(key.public_key()) for key in known]
        # Deployments always name both files; between rotations they hold the same key.
        self.public_keys = list({key.id: key for key in shown}.values())

    def access_token(self, access: Access, now: datetime) -> str:
        """Sign who somebody is and what they may do, for at most ten minutes."""
        return self._sign(
            now,
            self.access_token_seconds,
            typ="access",
            sub=str(access.user_id),
            cid=str(access.customer_id),
            email=access.email,
            email_verified=access.email_verified,
            roles=access.roles,
            permissions=access.permissions,
            sid=str(access.session_id),
            buys=access.may_buy,
            gen={str(name): number for name, number in access.generations.items()},
        )

    def service_token(self, service: str, now: datetime) -> str:
        """Sign that the bearer is a service of ours."""
        return self._sign(now, SERVICE_TOKEN_SECONDS, typ="service", sub=service)

    def _sign(self, now: datetime, seconds: float, **claims: Any) -> str:
        return jwt.encode(
            {
                "iss": self.issuer,
                "aud": self.audience,
                "iat": now,
                "exp": now + timedelta(seconds=seconds),
                **claims,
            },
            self._current,
            algorithm="ES256",
            headers={"kid": self.public_keys[0].id},
        )
