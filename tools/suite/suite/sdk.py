"""The client libraries: generated from the API's document, built and type-checked."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from suite import api_document, node_programs, repository
from suite.refusals import Refusal

Report = Callable[[str], None]

PYTHON = Path("sdk/python")
TYPESCRIPT = Path("sdk/typescript")
PACKAGE = "cartwright_client"
NODE_LOCK = Path("requirements/node.lock")
DOCUMENT = Path(".run/openapi.json")
# Disables telemetry and update checks.
NO_TELEMETRY = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "CI": "true"}


class SdkFailed(Refusal):
    """A client library could not be generated, built or checked; the message is the tool's."""


class Sdk:
    """Both client libraries of a working tree; their folders also hold handwritten files."""

    def __init__(self, root: Path, report: Report) -> None:
        """`report` receives one line per step."""
        self.root = root
        self.report = report
        self.document = root / DOCUMENT
        self.python = root / PYTHON
        self.typescript = root / TYPESCRIPT
        self.programs = repository.programs()

    def build(self) -> None:
        """Generate and build the clients whose sources have changed. Raises SdkFailed."""
        self.document.parent.mkdir(exist_ok=True)
        with self._locked():
            documents = api_document.of_services(repository.services(self.root))
            merged = api_document.merged(self.root, documents)
            self.document.write_text(json.dumps(merged, indent=1))
            self._once("python", self._digest(self.python), self._build_python)
            self.install_node_packages()
            self._once("typescript", self._digest(self.typescript), self._build_typescript)

    def check_python(self, *files: Path) -> None:
        """Type-check files with the Python client, or the client with its examples.

        Raises SdkFailed with mypy's output.
        """
        self._run(
            [self.programs / "mypy", "--strict", *(files or (PACKAGE, "examples"))],
            self.python,
            MYPYPATH=str(self.python),
            MYPY_CACHE_DIR=str(self.root / ".mypy_cache/sdk"),
        )

    def check_typescript(self, *files: Path) -> None:
        """Type-check files with the TypeScript client. Raises SdkFailed with tsc's output."""
        settings = {
            "extends": str(self.typescript / "tsconfig.json"),
            "compilerOptions": {
                "noEmit": True,
                "rootDir": "/",
                "typeRoots": [str(self.typescript / "node_modules/@types")],
                "paths": {"@cartwright/client": [str(self.typescript / "src/index.ts")]},
            },
            "include": [str(file) for file in files],
        }
        project = files[0].with_name("tsconfig.json")
        project.write_text(json.dumps(settings))
        tsc = self.typescript / "node_modules/typescript/bin/tsc"
        self._run([self._node(), tsc, "-p", project], self.typescript)

    def lint(self, document: Path) -> list[dict[str, Any]]:
        """Return Redocly's problems of a document: rule, message and location."""
        cli = self.typescript / "node_modules/@redocly/cli/bin/cli.js"
        config = self.root / "sdk/redocly.yaml"
        options = [f"--config={config}", "--format=json", "--max-problems=1000"]
        done = subprocess.run(
            [self._node(), cli, "lint", document, *options],
            env=os.environ | NO_TELEMETRY,
            capture_output=True,
            text=True,
            check=False,
        )
        try:
            found: list[dict[str, Any]] = json.loads(done.stdout)["problems"]
        except ValueError:
            raise SdkFailed(f"redocly: {done.stdout}{done.stderr}") from None
        return found

    def run_example(self, language: str, *arguments: str) -> str:
        """Run the checkout example of `python` or `typescript`; returns its output."""
        if language == "python":
            command: list[object] = [sys.executable, "examples/checkout.py"]
            return self._run([*command, *arguments], self.python, PYTHONPATH=str(self.python))
        return self._run([self._node(), "dist/examples/checkout.js", *arguments], self.typescript)

    def install_node_packages(self) -> None:
        """Install the packages of the lock, by their hashes. Raises SdkFailed or MissingProgram."""
        lock = self.typescript / "package-lock.json"
        wanted = hashlib.sha256(lock.read_bytes()).hexdigest()

        def install() -> None:
            npm = node_programs.npm(self._node())
            self._run([*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], self.typescript)

        self._once("node_packages", wanted, install)

    def _build_python(self) -> None:
        shutil.rmtree(self.python / PACKAGE, ignore_errors=True)
        generate = [self.programs / "openapi-python-client", "generate", "--meta=none"]
        generate += ["--fail-on-warning", "--config=config.yaml", f"--path={self._for_guests()}"]
        # The generator formats its files with the ruff on the PATH.
        path = f"{self.programs}{os.pathsep}{os.environ.get('PATH', '')}"
        self._run([*generate, f"--output-path={PACKAGE}"], self.python, PATH=path)
        (self.python / PACKAGE / "py.typed").touch()
        self._run(
            [self.programs / "hatchling", "build", "-t", "wheel", "-d", "../dist"], self.python
        )

    def _for_guests(self) -> Path:
        """Write the document without security where a guest needs no token.

        openapi-python-client would require a token there; this way its client takes one or none.
        """
        document = json.loads(self.document.read_text())
        for item in document["paths"].values():
            for operation in item.values():
                if {} in operation.get("security", []):
                    operation["security"] = []
        written = self.document.with_name("openapi.guests.json")
        written.write_text(json.dumps(document))
        return written

    def _build_typescript(self) -> None:
        node, programs = self._node(), self.typescript / "node_modules"
        generate = [node, programs / "openapi-typescript/bin/cli.js", self.document]
        self._run([*generate, "--output=src/schema.ts"], self.typescript)
        self._run([node, programs / "typescript/bin/tsc"], self.typescript)
        pack = [*node_programs.npm(node), "pack", "--ignore-scripts", "--pack-destination=../dist"]
        (self.root / "sdk/dist").mkdir(exist_ok=True)
        self._run(pack, self.typescript)

    def _node(self) -> Path:
        return node_programs.find(self.root / NODE_LOCK, self.report)

    def _once(self, name: str, wanted: str, make: Callable[[], None]) -> None:
        stamp = self.root / f".run/sdk.{name}"
        if stamp.exists() and stamp.read_text() == wanted:
            return
        self.report(f"sdk: {name.replace('_', ' ')}")
        stamp.unlink(missing_ok=True)
        make()
        stamp.write_text(wanted)

    def _digest(self, folder: Path) -> str:
        """The hash of a client's sources: the document and the files that git tracks."""
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z", "."],  # noqa: S607
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        files = [folder / name for name in sorted(listed.split("\0")) if name]
        files += [self.document, self.root / "requirements/all.lock"]
        return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Lock the folders: parallel tests may build the clients at the same time."""
        with (self.root / ".run/sdk.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _run(self, command: list[Any], folder: Path, **environment: str) -> str:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=folder,
            env=os.environ | NO_TELEMETRY | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            name = " ".join(Path(str(part)).name for part in command[:3])
            raise SdkFailed(f"{name}:\n{done.stdout}{done.stderr}")
        return done.stdout
