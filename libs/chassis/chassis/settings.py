"""Settings from the environment; a missing or malformed one is explained at startup."""

import sys
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

Seconds = Annotated[float, Field(gt=0, le=10**8)]
CANNOT_START = "The service cannot start: some settings are missing or malformed."


class Environment(EnvSettingsSource):
    """Reads the environment; a value that is not JSON is passed on for its field to reject."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """The value parsed as JSON, or unchanged."""
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


class ServiceSettings(BaseSettings):
    """The settings of every service, which adds its own fields. Times are in seconds."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    host: str = Field("127.0.0.1", description="the address to listen on", examples=["::"])
    port: int = Field(ge=1, le=65535, description="the TCP port to listen on", examples=["8101"])
    database_url: str = Field(
        pattern=r"^postgresql\+asyncpg://",
        description="the service's own database, as its unprivileged role",
        examples=["postgresql+asyncpg://orders:secret@127.0.0.1:5432/orders"],
    )
    migrator_database_url: str | None = Field(
        None,
        pattern=r"^postgresql\+asyncpg://",
        description="the same database as the role that owns its tables; only for `migrate`",
        examples=["postgresql+asyncpg://migrator:secret@127.0.0.1:5432/orders"],
    )
    broker_url: str = Field(
        pattern=r"^amqps?://",
        description="RabbitMQ, as the service's own user",
        examples=["amqp://orders:secret@127.0.0.1:5672/cartwright"],
    )
    jwks_url: str = Field(
        pattern=r"^https?://",
        description="identity's key set, by which access tokens are checked",
        examples=["http://127.0.0.1:8101/.well-known/jwks.json"],
    )
    identity_url: str = Field(
        pattern=r"^https?://",
        description="identity's internal address",
        examples=["http://127.0.0.1:8101"],
    )
    service_client_secret: str = Field(
        min_length=16,
        repr=False,
        description="the secret with which this service requests its tokens from identity",
        examples=["a random text of at least 16 characters"],
    )
    token_issuer: str = Field(
        "cartwright",
        min_length=1,
        description="the `iss` of access tokens",
        examples=["cartwright"],
    )
    token_audience: str = Field(
        "cartwright",
        min_length=1,
        description="the `aud` of access tokens",
        examples=["cartwright"],
    )
    public_url: str = Field(
        "http://127.0.0.1:8080",
        pattern=r"^https?://",
        description="where clients reach the gateway",
        examples=["https://shop.example"],
    )
    log_level: str = Field(
        "INFO",
        pattern="^(DEBUG|INFO|WARNING|ERROR)$",
        description="how much to log",
        examples=["INFO"],
    )
    pool_size: int = Field(
        8,
        ge=3,
        le=100,
        description="database connections; the relay, the consumer and requests need one each",
        examples=["8"],
    )
    retry_tiers: list[Seconds] = Field(
        [5, 30, 300, 1800],
        min_length=1,
        max_length=4,
        description="delays before a failed message is tried again, in seconds",
        examples=["[5, 30, 300, 1800]"],
    )
    sweep_interval: Seconds = Field(
        1.0, description="seconds between two sweeps of deadlines and the outbox", examples=["1"]
    )
    batch_size: int = Field(
        50, ge=1, le=500, description="messages taken in one transaction", examples=["50"]
    )
    batch_linger: float = Field(
        0.015,
        ge=0,
        le=1,
        description="seconds to wait for a batch to fill, while messages come often",
        examples=["0.015"],
    )
    max_batch_delay: float = Field(
        0.2,
        ge=0,
        le=5,
        description="the same for low-priority messages, in seconds",
        examples=["0.2"],
    )
    delivery_timeout: Seconds = Field(
        300,
        description="seconds after which a message that is neither handled nor acknowledged is "
        "returned to the broker, and its handling cancelled",
        examples=["300"],
    )
    inbox_days: int = Field(
        14, ge=1, le=365, description="days for which received messages are known", examples=["14"]
    )
    retention_days: dict[str, Annotated[float, Field(ge=0, le=36_500)]] = Field(
        default_factory=dict,
        description="days for which rows of a pruned table are retained, by table; 0 retains all "
        "rows, and a table that is not named has its default",
        examples=['{"sessions": 30}'],
    )
    drain_notice: float = Field(
        0,
        ge=0,
        le=30,
        description="seconds between turning not ready and closing, for load balancers to move on",
        examples=["5"],
    )
    idempotency_lease: Seconds = Field(
        60,
        description="seconds after which a repeat may take over an unfinished request",
        examples=["60"],
    )
    max_body_bytes: int = Field(
        1_048_576, ge=1024, description="largest request body, in bytes", examples=["1048576"]
    )
    otel_exporter_otlp_endpoint: str = Field(
        "",
        pattern=r"^(https?://.+)?$",
        description="the OpenTelemetry collector that takes traces over OTLP/HTTP; without it none "
        "are recorded",
        examples=["http://otel-collector:4318"],
    )
    otel_traces_sampler_arg: float = Field(
        1.0,
        ge=0,
        le=1,
        description="the ratio of the traces beginning here that is recorded; traces that began "
        "elsewhere carry the decision",
        examples=["0.05"],
    )

    @property
    def owner_url(self) -> str:
        """The database as the role that owns its tables; in tests the service's own role."""
        return self.migrator_database_url or self.database_url

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        *_: Any,
        **__: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read only the environment and, in tests, the arguments."""
        prefix = getattr(env_settings, "env_prefix", "")
        return init_settings, Environment(settings_cls, env_prefix=prefix)


Settings = TypeVar("Settings", bound=ServiceSettings)


def explain(settings: type[ServiceSettings], error: ValidationError, prefix: str = "") -> str:
    """Explain each bad variable by its fault, purpose and an example; never its value."""
    lines = []
    for fault in error.errors(include_input=False, include_url=False, include_context=False):
        name = str(fault["loc"][0])
        variable, field = f"{prefix}{name}".upper(), settings.model_fields.get(name)
        lines.append(f"  {variable}: {fault['msg']}")
        if field is not None:
            example = (field.examples or [""])[0]
            lines.append(f"      is {field.description}, for example {variable}={example}")
    return "\n".join(lines)


def load(settings: type[Settings], **overrides: Any) -> Settings:
    """Load the settings, or explain the bad ones on stderr and exit with 2."""
    try:
        return settings(**overrides)
    except ValidationError as error:
        print(CANNOT_START, explain(settings, error), sep="\n", file=sys.stderr)  # noqa: T201
        raise SystemExit(2) from None
