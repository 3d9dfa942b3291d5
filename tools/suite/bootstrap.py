"""Installs the lock file and the local packages into `.venv`; runs on any Python without packages.

`.venv` is created with the running Python. A step is skipped when its inputs have not changed since
it last succeeded.
"""

import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin/python"
LOCK = ROOT / "requirements/all.lock"
OLDEST = (3, 11)


def main() -> None:
    """Update the environment, and print the steps that take time."""
    if sys.version_info < OLDEST:
        sys.exit(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}.")
    if not _works():
        _create_venv()
    lock = _digest(LOCK.read_bytes(), _version())
    _once("lock", lock, "installing the pinned dependencies (a minute or two)", _install_lock)
    files = sorted(_packages())
    described = _digest(
        *(f"{file}\n".encode() + file.read_bytes() for file in files), lock.encode()
    )
    _once("packages", described, "installing the packages of this repository", _install_packages)


def _works() -> bool:
    return PYTHON.exists() and _run(
        PYTHON, "-c", "import pip, sys; sys.exit(sys.version_info < (3, 11))"
    )


def _run(*command: object) -> bool:
    return not subprocess.run(
        [str(part) for part in command], capture_output=True, check=False
    ).returncode


def _create_venv() -> None:
    python = sys.executable
    print(f"· creating .venv with {python}", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    made = subprocess.run([python, "-m", "venv", VENV], capture_output=True, text=True, check=False)
    if made.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        sys.exit(
            f"{made.stdout}{made.stderr}\nThis Python cannot create a virtual environment. "
            "On Debian and Ubuntu type: sudo apt-get install python3-venv"
        )


def _version() -> bytes:
    return subprocess.run([PYTHON, "--version"], capture_output=True, check=True).stdout


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _packages() -> list[Path]:
    """Return the project files of every local package."""
    patterns = ("libs/*/pyproject.toml", "services/*/pyproject.toml", "tools/*/pyproject.toml")
    return [file.relative_to(ROOT) for pattern in patterns for file in ROOT.glob(pattern)]


def _once(name: str, wanted: str, title: str, install: Callable[[], None]) -> None:
    stamp = VENV / f".installed-{name}"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"· {title}", flush=True)
    began = time.monotonic()
    stamp.unlink(missing_ok=True)
    install()
    stamp.write_text(wanted)
    print(f"  done ({time.monotonic() - began:.0f} s)", flush=True)


def _pip(*arguments: object) -> None:
    """Install, and show pip's output only when it fails."""
    command = [str(part) for part in (PYTHON, "-m", "pip", "install", "--quiet", *arguments)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if answer.returncode:
        sys.exit(f"{answer.stderr}\npip failed; correct the cause above and try again.")


def _install_lock() -> None:
    _pip("--require-hashes", "-r", LOCK)


def _install_packages() -> None:
    editable = [part for file in sorted(_packages()) for part in ("-e", f"./{file.parent}")]
    _pip("--no-deps", "--no-build-isolation", *editable)


if __name__ == "__main__":
    main()
