"""The environment variables of each process, from settings, ports and secrets."""

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from suite import repository
from suite.postgres import Cluster
from suite.rabbitmq import Broker
from suite.secrets import Secrets
from suite.service_list import Entry

TOKEN_ISSUER = "https://identity.cartwright.example"  # noqa: S105
TOKEN_AUDIENCE = "cartwright"  # noqa: S105
ADMIN_EMAIL = "admin@cartwright.example"
# Variables that a process inherits from the runner: those of the machine, and settings.
MACHINE = ("HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "PATH", "PYTHONUNBUFFERED")
COLLECTOR, SHARE = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER_ARG"
# Variables by which tests change a whole process as it starts, whatever services it runs.
AT_START = ("PYTHONPATH", "AT_START", "CRASH_POINTS")
INHERITED = (*MACHINE[:6], "LOG_LEVEL", COLLECTOR, SHARE)

Overrides = Mapping[str, Mapping[str, str]]

# Seconds that a checkout of a test may spend in each stage. The stages before confirmation get more
# than those that are retried: a slow machine must not turn a sale into a cancellation.
DEADLINES = {
    "reserving": 15,
    "redeeming": 15,
    "collecting": 15,
    "card_action": 4,
    "transfer": 8,
    "cancelling_payment": 2,
    "releasing": 2,
    "refunding": 2,
    "fulfilling": 2,
    "recalling": 2,
}

# Settings by profile and service; "*" is every service. Deadlines of tests expire within seconds.
PROFILES: dict[str, dict[str, dict[str, str]]] = {
    "up": {},
    "test": {
        "*": {
            "RETRY_TIERS": "[0.2, 0.5, 1, 2]",
            "SWEEP_INTERVAL": "0.2",
            "IDEMPOTENCY_LEASE": "2",
        },
        "cart": {"LOCK_CHECK_AFTER": "2"},
        "identity": {
            "ARGON2_MEMORY_KIB": "1024",
            "ARGON2_ITERATIONS": "1",
            "LOGIN_ATTEMPTS": "100",
            "LOGIN_ATTEMPTS_PER_ADDRESS": "100000",
            "LOGIN_ATTEMPTS_PER_ACCOUNT": "100000",
            "CHOSEN_PASSWORDS_PER_ADDRESS": "100000",
        },
        "orders": {"DEADLINES": json.dumps(DEADLINES)},
        "notifications": {
            "SMTP_TIMEOUT": "1",
            "MAIL_BATCH": "2",
            "MAIL_RETRY_TIERS": "[0.2, 0.5, 1, 2]",
        },
        "payments": {
            "PROVIDER_TIMEOUT": "1",
            "CHARGE_SETTLES_AFTER": "2",
            "ACTION_CHECK_AFTER": "1",
            # Calls to a killed provider are retried until it is up, also on a slow machine.
            "RETRY_TIERS": "[0.2, 1, 5, 30]",
        },
        "sandbox_provider": {
            "WEBHOOK_RETRY_SECONDS": "[0.2, 0.5, 1, 2]",
            "SLOW_SECONDS": "0.5",
            "HANG_SECONDS": "3",
            "LATE_WEBHOOK_SECONDS": "1",
        },
    },
}
RATE_LIMITS = {
    "up": {"rate_limit_per_address": 600, "rate_limit_per_principal": 600},
    "test": {"rate_limit_per_address": 1_000_000, "rate_limit_per_principal": 1_000_000},
}


@dataclass(frozen=True)
class Environment:
    """Renders the settings of every process of one instance."""

    services: Mapping[str, Entry]
    ports: dict[str, int]
    secrets: Secrets
    cluster: Cluster
    broker: Broker
    profile: str = "up"
    overrides: Overrides = field(default_factory=dict)

    def url(self, name: str) -> str:
        """Return the base URL of a process, without a trailing slash."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def of_service(self, name: str) -> dict[str, str]:
        """Return the environment of `python -m <service> all`."""
        settings = {
            "HOST": "127.0.0.1",
            "PORT": str(self.ports[name]),
            "DATABASE_URL": self.database_url(name, name),
            "BROKER_URL": self.broker.url(name),
            "JWKS_URL": f"{self._identity_url}/.well-known/jwks.json",
            "TOKEN_ISSUER": TOKEN_ISSUER,
            "TOKEN_AUDIENCE": TOKEN_AUDIENCE,
            "IDENTITY_URL": self._identity_url,
            "SERVICE_CLIENT_SECRET": self.secrets[f"client:{name}"],
            "PUBLIC_URL": self.url("gateway"),
            **self._own(self.services[name]),
        }
        return self.inherited() | settings | self._changed(name)

    def of_pack(self, names: Sequence[str]) -> dict[str, str]:
        """Return the environment of `python -m chassis.pack`: settings prefixed by service."""
        settings = {
            f"{name}_{key}".upper(): value
            for name in names
            for key, value in self.of_service(name).items()
            if key not in (*MACHINE, *AT_START)
        }
        first = self.of_service(next(iter(names)))
        machine = {key: first[key] for key in (*MACHINE, *AT_START) if key in first}
        return machine | settings

    def of_migration(self, name: str) -> dict[str, str]:
        """Return the environment of `python -m <service> migrate`, with the migrator's role."""
        return {
            **self.of_service(name),
            "MIGRATOR_DATABASE_URL": self.database_url(name, "migrator"),
        }

    def of_sandbox_provider(self) -> dict[str, str]:
        """Return the settings of the payment provider; it sends webhooks through the gateway."""
        settings = {
            "HOST": "127.0.0.1",
            "PORT": str(self.ports["sandbox_provider"]),
            "DATABASE_URL": self.database_url("sandbox", "sandbox"),
            "API_KEY": self.secrets["provider:key"],
            "WEBHOOK_URL": f"{self.url('gateway')}/v1/webhooks/payments/sandbox",
            "WEBHOOK_SECRET": self.secrets["provider:webhook"],
            # Customers open its pages through the gateway.
            "PUBLIC_URL": self.url("gateway"),
        }
        return self.inherited() | settings | self._changed("sandbox_provider")

    def of_mailcatcher(self) -> dict[str, str]:
        """Return the addresses of the mail catcher's SMTP and HTTP servers."""
        settings = {
            "HOST": "127.0.0.1",
            "PORT": str(self.ports["mailcatcher"]),
            "SMTP_PORT": str(self.ports["smtp"]),
        }
        return self.inherited() | settings | self._changed("mailcatcher")

    def of_gateway(self, services: list[str]) -> dict[str, Any]:
        """Return the values from which the gateway's configuration and docs page are rendered."""
        limits: dict[str, Any] = {
            name: int(os.environ.get(name.upper(), default))
            for name, default in RATE_LIMITS[self.profile].items()
        }
        return {
            "gateway_port": self.ports["gateway"],
            "admin_port": self.ports["gateway_admin"],
            "metrics_port": self.ports["gateway_metrics"],
            "services": {name: self.ports[name] for name in services},
            "docs_port": self.ports["docs"],
            "sandbox_port": self.ports["sandbox_provider"],
            "mail_port": self.ports["mailcatcher"],
            "token_issuer": TOKEN_ISSUER,
            "token_audience": TOKEN_AUDIENCE,
            "cors_origins": [self.url("gateway"), self.url("docs")],
            **limits,
        }

    def of_tests(self) -> dict[str, str]:
        """Return the addresses of the servers for service-level tests."""
        return {
            "TEST_POSTGRES_URL": self.cluster.dsn("postgres"),
            "TEST_BROKER_URL": self.broker.url("admin"),
            "TEST_BROKER_API": self.broker.management_url,
        }

    def of_operator(self) -> dict[str, str]:
        """Return the `cartwright` command's settings for this instance, as its administrator."""
        return {
            "CARTWRIGHT_URL": self.url("gateway"),
            "CARTWRIGHT_BROKER": f"amqp://127.0.0.1:{self.ports['rabbitmq']}",
            "CARTWRIGHT_BROKER_API": self.broker.management_url,
            "CARTWRIGHT_EMAIL": ADMIN_EMAIL,
            "CARTWRIGHT_PASSWORD": self.secrets["admin:password"],
        }

    def database_url(self, database: str, role: str) -> str:
        """Return the URL of a database in SQLAlchemy's form."""
        dsn = self.cluster.dsn(database, role)
        return dsn.replace("postgresql://", "postgresql+asyncpg://", 1)

    def inherited(self) -> dict[str, str]:
        """Return the part of the runner's environment that every process inherits."""
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        path = f"{repository.programs()}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        return inherited | {"PATH": path, "PYTHONUNBUFFERED": "1"} | self._tracing()

    def _tracing(self) -> dict[str, str]:
        """Return the collector of tests, for the traces that a test marks as sampled."""
        if self.profile != "test":
            return {}
        return {COLLECTOR: self.url("collector"), SHARE: "0"}

    @property
    def _identity_url(self) -> str:
        """Identity's address; a tree of tests has no identity."""
        return self.url("identity") if "identity" in self.services else ""

    def _own(self, service: Entry) -> dict[str, str]:
        """Return the settings of this service alone: what containers have, with local addresses."""
        local = {
            "BOOTSTRAP_ADMIN_EMAIL": ADMIN_EMAIL,
            "PROVIDER_URL": self.url("sandbox_provider"),
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(self.ports["smtp"]),
        }
        keys = self.secrets.signing_key_file.parent
        return {
            **{f"{peer.upper()}_URL": self.url(peer) for peer in service.calls},
            **{name: local.get(name, value) for name, value in service.settings.items()},
            **{name: self.secrets[purpose] for name, purpose in service.all_secrets.items()},
            **{
                name: str(keys / file)
                for name, file in service.key_files.items()
                if (keys / file).exists()
            },
        }

    def _changed(self, name: str) -> dict[str, str]:
        layers = (PROFILES[self.profile], self.overrides)
        changes: dict[str, str] = {}
        for layer in layers:
            changes |= {**layer.get("*", {}), **layer.get(name, {})}
        return changes


def as_exports(environment: Mapping[str, str]) -> str:
    """Return shell lines that set the environment."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in environment.items())
