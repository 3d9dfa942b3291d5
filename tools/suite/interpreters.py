"""Which of this machine's Pythons the suite runs on: the fastest build of the version asked for.

Half of a checkout's processor time is the interpreter's own, and builds of one version differ by a
quarter: a distribution's is optimised by a profile, one that was compiled by hand often is not.
"""

import os
import subprocess
import sys
from pathlib import Path

# A folder that is not on every PATH, such as cron's or a container's.
USUAL = ("/usr/local/bin", "/usr/bin")
# By less than this share two builds are taken for equally fast.
WORTH_CHANGING = 0.92
TURNS = 3
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
    """The path of the Python to use: `own`, unless another of its version is clearly faster.

    One that cannot make a virtual environment is left out.
    """
    times: dict[str, float] = {}
    # By turns, and the best of each: a machine that others use is now fast and now slow.
    for found in map(_measured, [own, *_others()] * TURNS):
        if found is not None:
            python, took = found
            times[python] = min(took, times.get(python, took))
    best = min(times, key=times.__getitem__, default=own)
    return best if times.get(best, 0) < WORTH_CHANGING * times.get(own, 9.0) else own


def _others() -> list[str]:
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folders = [*os.environ.get("PATH", "").split(os.pathsep), *USUAL]
    there = {Path(folder, name).resolve() for folder in folders}
    return sorted(str(path) for path in there if os.access(path, os.X_OK))


def _measured(python: str) -> tuple[str, float] | None:
    """The interpreter behind a path, and the seconds its probe took; None when it cannot run it."""
    try:
        probe = subprocess.run(
            [python, "-c", PROBE], capture_output=True, text=True, timeout=30, check=True
        )
        took, path = probe.stdout.split(maxsplit=1)
        return path.strip(), float(took)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
