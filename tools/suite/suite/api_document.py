"""The whole API as one OpenAPI document, derived from the services' routes, and its index."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Document = dict[str, Any]

MERGING = "deploy/gateway/openapi.py"
INDEX = "sdk/operations.txt"


def of_services(services: Iterable[str]) -> dict[str, Document]:
    """Return the document of each service, from its code alone."""
    mains = {service: importlib.import_module(f"{service}.main") for service in services}
    return {service: main.service.document() for service, main in mains.items()}


def merged(root: Path, documents: dict[str, Document]) -> Document:
    """Return the document for clients, merged by the gateway's program."""
    done = subprocess.run(
        [sys.executable, root / MERGING],
        input=json.dumps(documents),
        capture_output=True,
        text=True,
        check=True,
    )
    whole: Document = json.loads(done.stdout)
    return whole


def index(document: Document) -> str:
    """List the operations, one per line: clients depend on these names."""
    lines = [
        f"{operation['operationId']:<44} {method.upper():<6} {path}"
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]
    return "".join(f"{line}\n" for line in sorted(lines))
