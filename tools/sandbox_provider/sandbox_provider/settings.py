"""The settings of the provider, from its environment."""

import base64
import binascii
import sys
from functools import cached_property
from typing import Annotated

from pydantic import AnyHttpUrl, Field, PositiveFloat, ValidationError
from pydantic_settings import BaseSettings

from chassis.webhooks import SECRET_PREFIX


class Settings(BaseSettings):
    """Every field is an environment variable of the same name in capitals."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535, examples=[8090])]
    database_url: Annotated[
        str,
        Field(
            pattern=r"^postgresql\+asyncpg://",
            examples=["postgresql+asyncpg://sandbox:secret@127.0.0.1:5432/sandbox"],
        ),
    ]
    api_key: Annotated[str, Field(min_length=8, examples=["sk_sandbox_3f9c1a"])]
    webhook_url: Annotated[
        AnyHttpUrl, Field(examples=["http://127.0.0.1:8080/v1/webhooks/payments/sandbox"])
    ]
    webhook_secret: Annotated[str, Field(min_length=8, examples=["whsec_c2l4dGVlbiBieXRlcyBvaw=="])]
    public_url: Annotated[AnyHttpUrl | None, Field(examples=["http://127.0.0.1:8090"])] = None
    webhook_retry_seconds: Annotated[list[PositiveFloat], Field(min_length=1)] = [
        1,
        5,
        30,
        300,
        1800,
    ]
    otel_exporter_otlp_endpoint: Annotated[
        str, Field(pattern=r"^(https?://.+)?$", examples=["http://otel-collector:4318"])
    ] = ""
    otel_traces_sampler_arg: Annotated[float, Field(ge=0, le=1)] = 1.0
    slow_seconds: PositiveFloat = 3
    hang_seconds: PositiveFloat = 60
    late_webhook_seconds: PositiveFloat = 5

    @property
    def base_url(self) -> str:
        """The base address of the confirmation pages, without a trailing slash."""
        return str(self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @cached_property
    def signing_keys(self) -> list[bytes]:
        """The webhook secrets as bytes; several, separated by spaces, during a rotation."""
        return [_signing_key(secret) for secret in self.webhook_secret.split()]


def _signing_key(secret: str) -> bytes:
    if not secret.startswith(SECRET_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise SystemExit(f"WEBHOOK_SECRET: what follows {SECRET_PREFIX} must be base64") from None


def load_settings() -> Settings:
    """Read the environment, or end the process naming each invalid variable."""
    try:
        # The environment supplies what has no default.
        return Settings()
    except ValidationError as invalid:
        for error in invalid.errors(include_url=False, include_input=False):
            name = str(error["loc"][0])
            field = Settings.model_fields[name]
            example = f" (for example {field.examples[0]})" if field.examples else ""
            sys.stderr.write(f"{name.upper()}: {error['msg']}{example}\n")
        raise SystemExit(2) from None
