"""Selects the Python of the suite: this machine's fastest build of the running version.

Half of a checkout's processor time is the interpreter's own, and builds of one version differ by a
quarter: a distribution's is profile-guided, one compiled by hand often is not.
"""

import os
import subprocess
import sys
from pathlib import Path

# A folder that is not on every PATH, such as cron's or a container's.
USUAL = ("/usr/local/bin", "/usr/bin")
# Another build must take less than this share of the running one's time.
FASTER_THAN = 0.92
ROUNDS = 3
PROBE = """
import argparse, ast, ensurepip, inspect, sys, time, venv
best, tree = 9.0, ast.parse(inspect.getsource(argparse))
for _ in range(12):
    began = time.process_time()
    ast.unparse(tree)
    best = min(best, time.process_time() - began)
print(best, sys.executable)
"""


def fastest(own: str = sys.executable) -> str:
    """Return the path of the Python to use: `own`, unless another is clearly faster.

    One that cannot create a virtual environment is skipped.
    """
    times: dict[str, float] = {}
    # In rounds, and the best of each: the speed of a shared machine varies.
    for found in map(_measured, [own, *_others()] * ROUNDS):
        if found is not None:
            python, took = found
            times[python] = min(took, times.get(python, took))
    best = min(times, key=times.__getitem__, default=own)
    return best if times.get(best, 0) < FASTER_THAN * times.get(own, 9.0) else own


def _others() -> list[str]:
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folders = [*os.environ.get("PATH", "").split(os.pathsep), *USUAL]
    there = {Path(folder, name).resolve() for folder in folders}
    return sorted(str(path) for path in there if os.access(path, os.X_OK))


def _measured(python: str) -> tuple[str, float] | None:
    """The interpreter behind a path, and the seconds of its probe; None when the probe fails."""
    try:
        probe = subprocess.run(
            [python, "-c", PROBE], capture_output=True, text=True, timeout=30, check=True
        )
        took, path = probe.stdout.split(maxsplit=1)
        return path.strip(), float(took)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
