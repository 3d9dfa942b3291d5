"""Finds programs on this machine and runs them."""

import glob
import subprocess
from pathlib import Path


def folders(*patterns: str) -> list[Path]:
    """Return the folders that match, oldest version first, pattern by pattern."""
    return [Path(name) for pattern in patterns for name in sorted(glob.glob(pattern))]  # noqa: PTH207


def attempt(*command: object) -> subprocess.CompletedProcess[str]:
    """Run a command, whatever its exit code, with its output captured as text."""
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
