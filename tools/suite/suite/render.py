"""Files that are rendered from services.toml: by a template of their own, or in places.

A place is a template in comments, followed by what it renders to:

    # [template]
    # {% for each in services %}
    # - [[ each.name ]]
    # {% endfor %}
    # [rendered]
    - cart
    - orders
    # [end]

The rest of such a file is written by hand. Templates are Jinja's, with `[[ ]]` around values since
compose and Kubernetes use braces; `services` are the entries of services.toml in its order.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from textwrap import indent
from typing import Any

from jinja2 import Environment, StrictUndefined

from suite import compose, service_list
from suite.refusals import Refusal
from suite.service_list import Entry

K8S = Path("deploy/k8s")
PREFIXES = Path("deploy/gateway/prefixes.json")
# Written for each service, beside the template.
MANIFEST = K8S / "services/kustomization.yaml.j2"
WITH_PLACES = tuple(
    map(
        Path,
        (
            "pyproject.toml",
            "deploy/docker-compose.yml",
            "deploy/observability/prometheus.yaml",
            "deploy/k8s/base/kustomization.yaml",
            "deploy/k8s/components/external-secrets/secrets.yaml",
            "deploy/k8s/components/network/policies.yaml",
            "deploy/k8s/components/postgres-operator/cluster.yaml",
            "deploy/k8s/components/postgres-operator/databases.yaml",
            "deploy/k8s/overlays/dev/kustomization.yaml",
            "deploy/k8s/overlays/production/kustomization.yaml",
            "libs/contracts/contracts/registry.py",
            "tools/cartwright/cartwright/admin_api.py",
        ),
    )
)
PLACE = re.compile(
    r"^(?P<head>(?P<indent> *)# \[template\]\n(?P<template>(?: *#[^\n]*\n)+?) *# \[rendered\]\n)"
    r".*?^(?P<end> *# \[end\])$",
    re.MULTILINE | re.DOTALL,
)
COMMENT = re.compile(r"^ *# ?", re.MULTILINE)

jinja = Environment(
    autoescape=False,  # noqa: S701 - what is rendered is YAML, TOML and Python
    variable_start_string="[[",
    variable_end_string="]]",
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    undefined=StrictUndefined,
)


def files(root: Path) -> dict[Path, str]:
    """Return every rendered file as services.toml requires it."""
    entries = service_list.load(root)
    values = _values(root, entries)
    prefixes = {name: each.routes for name, each in entries.items()}
    manifest = jinja.from_string((root / MANIFEST).read_text())
    return {
        PREFIXES: f"{json.dumps(prefixes, indent=2)}\n",
        **{
            MANIFEST.parent / name / MANIFEST.stem: manifest.render(each=each)
            for name, each in entries.items()
        },
        **{file: fill_places(root / file, values) for file in WITH_PLACES},
    }


def left_over(root: Path) -> list[Path]:
    """Return folders of manifests whose service is no longer on the list."""
    known = service_list.load(root)
    folders = (file.parent for file in (root / MANIFEST.parent).glob(f"*/{MANIFEST.stem}"))
    return sorted(folder.relative_to(root) for folder in folders if folder.name not in known)


def fill_places(file: Path, values: Mapping[str, Any]) -> str:
    """Return a file's text with each place rendered from its template. Raises Refusal."""
    text = file.read_text()

    def rendered(place: re.Match[str]) -> str:
        template = COMMENT.sub("", place["template"])
        body = jinja.from_string(template).render(values)
        return place["head"] + indent(body, place["indent"]) + place["end"]

    filled, places = PLACE.subn(rendered, text)
    if places != text.count("# [template]\n"):
        raise Refusal(f"{file}: a place lacks its line `# [rendered]` or `# [end]`.")
    return filled


def _values(root: Path, entries: Mapping[str, Entry]) -> dict[str, Any]:
    contracts = root / "libs/contracts/contracts"
    return {
        "services": list(entries.values()),
        "callers": {
            name: [other.name for other in entries.values() if name in other.calls]
            for name in entries
        },
        "message_owners": [name for name in entries if (contracts / f"{name}.py").is_file()],
        # The variable of compose's .env that holds a generated secret.
        "variables": compose.names(entries.values()),
    }
