"""Identity's settings: its keys, the costs of passwords and how long each credential lives."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from chassis.keys import MAX_LIFETIME
from chassis.settings import Seconds, ServiceSettings
from identity import signing
from identity.domain.attempts import LoginLimits


def _holds_a_key(path: Path) -> Path:
    """Refuse, at start, a file without a P-256 private key."""
    signing.load(path)
    return path


KeyFile = Annotated[Path, AfterValidator(_holds_a_key)]


class IdentitySettings(ServiceSettings):
    """What identity must be told beyond what every service is told."""

    signing_key_file: KeyFile = Field(
        description="a file with the EC P-256 private key, in PEM, that signs access tokens",
        examples=["/run/secrets/signing-key.pem"],
    )
    previous_signing_key_file: KeyFile | None = Field(
        None,
        description="the key used before, while tokens signed by it still live",
        examples=["/run/secrets/signing-key.old.pem"],
    )
    service_client_secrets_file: Path | None = Field(
        None,
        description="a JSON file of service names and their secrets; read by `migrate`",
        examples=["/run/secrets/service-clients.json"],
    )
    bootstrap_admin_email: str | None = Field(
        None,
        description="the first administrator, made by `migrate` when there is none",
        examples=["admin@shop.example"],
    )
    bootstrap_admin_password: SecretStr | None = Field(
        None,
        description="the first administrator's password, at least 15 characters",
        examples=["a long sentence nobody else would think of"],
    )
    access_token_seconds: float = Field(
        600,
        gt=0,
        le=MAX_LIFETIME,
        description="life of an access token, in seconds",
        examples=["600"],
    )
    session_seconds: Seconds = Field(
        86_400, description="life of a session, in seconds", examples=["86400"]
    )
    remembered_session_seconds: Seconds = Field(
        2_592_000, description="life of a remembered session, in seconds", examples=["2592000"]
    )
    refresh_grace_seconds: float = Field(
        10,
        ge=0,
        le=60,
        description="seconds in which a used refresh token gives its successor once more",
        examples=["10"],
    )
    verification_seconds: Seconds = Field(
        172_800, description="life of an e-mail verification link, in seconds", examples=["172800"]
    )
    password_reset_seconds: Seconds = Field(
        3_600, description="life of a password reset link, in seconds", examples=["3600"]
    )
    login_attempts: int = Field(
        5,
        ge=1,
        le=1000,
        description="failed logins to one account from one address in one window, then refused",
        examples=["5"],
    )
    login_attempts_per_address: int = Field(
        100,
        ge=1,
        le=1_000_000,
        description="failed logins from one address (IPv6: one /64) in one window, then refused",
        examples=["100"],
    )
    login_attempts_per_account: int = Field(
        20,
        ge=1,
        le=1_000_000,
        description="failed logins to one account from all addresses in one window, then delayed",
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
        300, description="the window in which logins are counted, in seconds", examples=["300"]
    )
    chosen_passwords_per_address: int = Field(
        100,
        ge=1,
        le=1_000_000,
        description="passwords chosen (registration, reset) from one address in a window of logins",
        examples=["100"],
    )
    mail_attempts: int = Field(
        5, ge=1, le=1000, description="mails to one address in one window", examples=["5"]
    )
    mail_window_seconds: Seconds = Field(
        3_600, description="the window in which mails are counted, in seconds", examples=["3600"]
    )
    even_answer_seconds: float = Field(
        0.25,
        ge=0,
        le=5,
        description="least seconds of an answer that must not tell whether an address is known",
        examples=["0.25"],
    )
    argon2_memory_kib: int = Field(
        19_456, ge=8, le=4_194_304, description="memory of one password hash", examples=["19456"]
    )
    delayed_logins: int = Field(
        200, ge=1, le=10_000, description="logins a process delays at once", examples=["200"]
    )
    argon2_iterations: int = Field(
        2, ge=1, le=100, description="passes of one password hash", examples=["2"]
    )

    @property
    def login_limits(self) -> LoginLimits:
        """The limits of logins, as one."""
        return LoginLimits(
            per_account_and_address=self.login_attempts,
            per_address=self.login_attempts_per_address,
            per_account=self.login_attempts_per_account,
            window=self.login_window_seconds,
            longest_delay=self.login_longest_delay,
        )
