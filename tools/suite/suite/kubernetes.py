"""The suite's secrets as Kubernetes Secrets, one per service with its own values alone."""

import base64
import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from suite import compose, repository, service_list
from suite.secrets import Secrets
from suite.service_list import Entry


def manifests(
    secrets: Secrets, services: Collection[Entry], namespace: str
) -> list[dict[str, Any]]:
    """Return the Secrets of the dev overlay, whose servers are named `postgres` and `rabbitmq`."""
    named = {
        name: data for service in services for name, data in _of_service(secrets, service).items()
    }
    previous = compose.previous_key(secrets)
    named["identity-keys"] = {
        "signing-key.pem": secrets.signing_key_file.read_text(),
        "previous-signing-key.pem": (
            previous if previous.exists() else secrets.signing_key_file
        ).read_text(),
        "service-clients.json": secrets.service_clients_file.read_text(),
    }
    named["postgres-secrets"] = {"POSTGRES_PASSWORD": secrets["database:postgres"]}
    named["rabbitmq-secrets"] = {"BROKER_ADMIN_PASSWORD": secrets["broker:admin"]}
    named["provision-secrets"] = _of_provision(secrets, services)
    named["sandbox-provider-secrets"] = {
        "DATABASE_URL": database_url(secrets, "sandbox", "sandbox"),
        "API_KEY": secrets["provider:key"],
        "WEBHOOK_SECRET": secrets["provider:webhook"],
    }
    return [_secret(name, data, namespace) for name, data in named.items()]


def as_text(found: Iterable[Mapping[str, Any]]) -> str:
    """Format objects for `kubectl apply`: JSON is YAML."""
    return "\n---\n".join(json.dumps(each) for each in found)


def database_url(secrets: Secrets, database: str, role: str) -> str:
    """Return the URL of a database inside the cluster."""
    return f"postgresql+asyncpg://{role}:{secrets[f'database:{role}']}@postgres:5432/{database}"


def _of_service(secrets: Secrets, service: Entry) -> dict[str, dict[str, str]]:
    def values(purposes: Mapping[str, str]) -> dict[str, str]:
        return {variable: secrets[purpose] for variable, purpose in purposes.items()}

    name = service.name
    return {
        f"{name}-secrets": {
            "DATABASE_URL": database_url(secrets, name, name),
            "BROKER_URL": f"amqp://{name}:{secrets[f'broker:{name}']}@rabbitmq:5672/cartwright",
            "SERVICE_CLIENT_SECRET": secrets[f"client:{name}"],
            **values(service.secrets),
        },
        f"{name}-migrator": {
            "MIGRATOR_DATABASE_URL": database_url(secrets, name, "migrator"),
            **values(service.migration_secrets),
        },
    }


def _of_provision(secrets: Secrets, services: Iterable[Entry]) -> dict[str, str]:
    """Return the passwords of all roles and users, and the addresses of both servers."""
    named = compose.variables(secrets.values, services)
    passwords = {
        name: value
        for name, value in named.items()
        if name.endswith(("_DATABASE_PASSWORD", "_BROKER_PASSWORD"))
    }
    admin = secrets["broker:admin"]
    return passwords | {
        "BROKER_ADMIN_PASSWORD": admin,
        "POSTGRES_URL": f"postgresql://postgres:{secrets['database:postgres']}@postgres:5432/postgres",
        "BROKER_API": f"http://admin:{admin}@rabbitmq:15672",
    }


def _secret(name: str, data: Mapping[str, str], namespace: str) -> dict[str, Any]:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "Opaque",
        "data": encoded,
    }


if __name__ == "__main__":
    entries = service_list.load(repository.ROOT).values()
    known = compose.project(repository.ROOT).prepare(entries)
    print(as_text(manifests(known, entries, "cartwright")))
