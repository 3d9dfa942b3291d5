"""Identity's settings: signing keys, costs of passwords, lifetimes of credentials, limits."""

from pathlib import Path
from typing import Annotated

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import AfterValidator, Field, SecretStr

from chassis.keys import MAX_LIFETIME
from chassis.settings import Seconds, ServiceSettings
from identity.domain.session import LoginLimits


def load_signing_key(path: Path) -> EllipticCurvePrivateKey:
    """The P-256 private key of a PEM file; raises ValueError with the reason."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ValueError(f"the key file cannot be read ({error.strerror})") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("the key file holds no readable private key in PEM") from None
    if not isinstance(key, EllipticCurvePrivateKey) or key.curve.name != SECP256R1.name:
        raise ValueError("the key file must hold an EC P-256 private key")
    return key


def _validate_key_file(path: Path) -> Path:
    load_signing_key(path)
    return path


KeyFile = Annotated[Path, AfterValidator(_validate_key_file)]


class IdentitySettings(ServiceSettings):
    """Identity's own settings, beside those of every service."""

    signing_key_file: KeyFile = Field(
        description="a file with the EC P-256 private key, in PEM, that signs access tokens",
        examples=["/run/secrets/signing-key.pem"],
    )
    previous_signing_key_file: KeyFile | None = Field(
        None,
        description="the previous key, until the tokens it signed have expired",
        examples=["/run/secrets/signing-key.old.pem"],
    )
    service_client_secrets_file: Path | None = Field(
        None,
        description="a JSON file of service names and their secrets, read by `migrate`",
        examples=["/run/secrets/service-clients.json"],
    )
    bootstrap_admin_email: str | None = Field(
        None,
        description="the first administrator, created by `migrate` when there is none",
        examples=["admin@shop.example"],
    )
    bootstrap_admin_password: SecretStr | None = Field(
        None,
        description="the first administrator's password, at least 15 characters",
        examples=["a long sentence that no one else would choose"],
    )
    access_token_seconds: float = Field(
        600,
        gt=0,
        le=MAX_LIFETIME,
        description="lifetime of an access token, in seconds",
        examples=["600"],
    )
    session_seconds: Seconds = Field(
        86_400, description="lifetime of a session, in seconds", examples=["86400"]
    )
    remembered_session_seconds: Seconds = Field(
        2_592_000, description="lifetime of a remembered session, in seconds", examples=["2592000"]
    )
    refresh_grace_seconds: float = Field(
        10,
        ge=0,
        le=60,
        description="seconds in which a used refresh token returns its successor again",
        examples=["10"],
    )
    verification_seconds: Seconds = Field(
        172_800,
        description="lifetime of an e-mail verification link, in seconds",
        examples=["172800"],
    )
    password_reset_seconds: Seconds = Field(
        3_600, description="lifetime of a password reset link, in seconds", examples=["3600"]
    )
    login_attempts: int = Field(
        5,
        ge=1,
        le=1000,
        description="failed logins to one account from one address in a window; more are refused",
        examples=["5"],
    )
    login_attempts_per_address: int = Field(
        100,
        ge=1,
        le=1_000_000,
        description="failed logins from one address (IPv6: one /64) in a window; more are refused",
        examples=["100"],
    )
    login_attempts_per_account: int = Field(
        20,
        ge=1,
        le=1_000_000,
        description="failed logins to one account from all addresses in a window; more are delayed",
        examples=["20"],
    )
    login_longest_delay: float = Field(
        8,
        ge=0,
        le=20,
        description="the longest delay of a login, in seconds",
        examples=["8"],
    )
    login_window_seconds: Seconds = Field(
        300, description="the window of login limits, in seconds", examples=["300"]
    )
    chosen_passwords_per_address: int = Field(
        100,
        ge=1,
        le=1_000_000,
        description="passwords chosen (registration, reset) from one address in one login window",
        examples=["100"],
    )
    mail_attempts: int = Field(
        5, ge=1, le=1000, description="mails to one address in one window", examples=["5"]
    )
    mail_window_seconds: Seconds = Field(
        3_600, description="the window of the mail limit, in seconds", examples=["3600"]
    )
    even_answer_seconds: float = Field(
        0.25,
        ge=0,
        le=5,
        description="minimum duration of answers that must not reveal known addresses, in seconds",
        examples=["0.25"],
    )
    argon2_memory_kib: int = Field(
        19_456, ge=8, le=4_194_304, description="memory of one password hash", examples=["19456"]
    )
    delayed_logins: int = Field(
        200,
        ge=1,
        le=10_000,
        description="logins that a process delays at the same time",
        examples=["200"],
    )
    argon2_iterations: int = Field(
        2, ge=1, le=100, description="passes of one password hash", examples=["2"]
    )

    @property
    def login_limits(self) -> LoginLimits:
        """The limits of logins that the domain applies."""
        return LoginLimits(
            per_account_and_address=self.login_attempts,
            per_address=self.login_attempts_per_address,
            per_account=self.login_attempts_per_account,
            window=self.login_window_seconds,
            longest_delay=self.login_longest_delay,
        )
