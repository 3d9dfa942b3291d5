"""Writes operators.json: the schemas of operators' objects, made from the types they publish.

    python deploy/k8s/schemas/vendor.py

It needs Node.js with npm. The types come from the npm packages below, which are generated from the
operators' own code (MIT; github.com/tommy351/kubernetes-models-ts); RabbitMQ's operators have none.
"""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TARGET = Path(__file__).with_name("operators.json")
GENERATOR = "ts-json-schema-generator@2.4.0"
# Package, and the kinds of it that manifests here may hold, by their API versions.
PACKAGES = {
    "@kubernetes-models/cloudnative-pg@2.0.0": {
        "postgresql.cnpg.io/v1": ("Cluster", "Database", "ScheduledBackup"),
    },
    "@kubernetes-models/external-secrets@2.0.0": {
        "external-secrets.io/v1": ("ExternalSecret",),
    },
    "@kubernetes-models/gateway-api@2.0.0": {
        "gateway.networking.k8s.io/v1": ("HTTPRoute",),
    },
    "@kubernetes-models/keda@2.0.0": {
        "keda.sh/v1alpha1": ("ScaledObject", "TriggerAuthentication"),
    },
    "@kubernetes-models/prometheus-operator@6.0.0": {
        "monitoring.coreos.com/v1": ("PodMonitor", "PrometheusRule", "ServiceMonitor"),
        "monitoring.coreos.com/v1alpha1": ("AlertmanagerConfig",),
    },
}
COMPILER = {
    "compilerOptions": {
        "module": "nodenext",
        "moduleResolution": "nodenext",
        "target": "es2022",
        "strict": True,
        "skipLibCheck": True,
        "types": [],
    },
    "include": ["*.ts"],
}


def run(folder: Path, *command: str) -> str:
    """Run a program in a folder; what it printed. Raises CalledProcessError."""
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)  # noqa: S603
    return done.stdout


def plain(node: Any) -> Any:
    """A schema without prose, which makes nine tenths of it."""
    if isinstance(node, list):
        return [plain(each) for each in node]
    if isinstance(node, dict):
        # An object without a schema may hold anything, as the routes below a route.
        if node == {"type": "object", "additionalProperties": False}:
            return {"type": "object"}
        # A field may be called `description` too; then it is a schema and no text.
        return {
            key: plain(value)
            for key, value in node.items()
            if key not in ("description", "default", "format") or not isinstance(value, str)
        }
    return node


def specs(
    folder: Path, package: str, kinds: dict[str, tuple[str, ...]]
) -> Iterator[tuple[str, Any]]:
    """Each kind's name, as `keda.sh/v1alpha1/ScaledObject`, with the schema of its `spec`."""
    name = package.rpartition("@")[0]
    for version, of_version in kinds.items():
        for kind in of_version:
            source = f'export type {{ I{kind} }} from "{name}/{version}/{kind}";\n'
            (folder / "kind.ts").write_text(source)
            text = run(
                folder, "npx", "--no-install", "ts-json-schema-generator", "--path=kind.ts",
                "--tsconfig=tsconfig.json", f"--type=I{kind}", "--no-type-check", "--expose=none",
            )  # fmt: skip
            (whole,) = json.loads(text)["definitions"].values()
            yield f"{version}/{kind}", plain(whole["properties"]["spec"])


def main() -> None:
    """Fetch the types, make the schemas, and write them."""
    kinds: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "package.json").write_text('{"private": true, "type": "module"}')
        (folder / "tsconfig.json").write_text(json.dumps(COMPILER))
        # Their `engines` name the newest Node.js, but only their declarations are read.
        run(folder, "npm", "install", "--ignore-scripts", "--force", GENERATOR, *PACKAGES)
        for package, wanted in PACKAGES.items():
            for kind, schema in specs(folder, package, wanted):
                kinds[kind] = {"$comment": package, **schema}
    lines = [f"  {json.dumps(kind)}: {json.dumps(kinds[kind])}" for kind in sorted(kinds)]
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
