"""Changes a service's process as it starts, from outside: the service knows nothing of it."""

import os
from pathlib import Path


def environment(*functions: str, path: Path | None = None) -> dict[str, str]:
    """The variables by which a Python process calls functions, `module:name`, as it starts.

    path: a folder for modules that are not installed.
    """
    folders = [str(Path(__file__).parent), *([str(path)] if path else [])]
    return {"PYTHONPATH": os.pathsep.join(folders), "AT_START": " ".join(functions)}
