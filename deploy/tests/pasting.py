"""An operator at the shell, who pastes the commands of the operations documents as they stand."""

import os
import re
import shlex
import subprocess

import httpx
from composition import Composition, buys

from shopfloor import Buyer, Staff, sign_in
from suite import repository
from suite.environment import ADMIN_EMAIL

DOCUMENTS = repository.ROOT / "docs/operations"
# The gateway caches keys for a second here instead of a minute.
KEY_RETENTION = ("sleep 75", "sleep 3")


def blocks(document: str) -> list[str]:
    """A document's blocks of shell that are to be run."""
    text = (DOCUMENTS / document).read_text()
    found: list[str] = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    assert found, document
    return found


class Operator:
    """An operator at the shell, who pastes from the documents."""

    def __init__(self, composition: Composition) -> None:
        self.composition = composition

    def pastes(self, *lines: str, **variables: str) -> str:
        """Run blocks one after the other in one shell; what they printed."""
        project = self.composition.project
        compose = shlex.join(project.command())
        prelude = [
            f"ENV={project.env_file} SECRETS={project.folder / 'secrets'}",
            f"SHOP={self.composition.url}",
            # A job needs no terminal, and there is none here.
            f'compose() {{ if [ "$1" = run ]; then shift; set -- run -T "$@"; fi; {compose} "$@"; }}',
            *blocks("README.md")[0].replace("$PWD", str(repository.ROOT)).splitlines()[2:],
        ]
        script = "\n".join([*prelude, *lines]).replace(*KEY_RETENTION)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=project.folder,
            env={**os.environ, **variables, "COLUMNS": "200"},
            capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout


async def sells(http: httpx.AsyncClient, composition: Composition) -> str:
    """Sell something; returns the order's id."""
    staff = Staff(http, await sign_in(http, ADMIN_EMAIL, composition.password))
    await staff.open_shop()
    order = await buys(Buyer(http, staff), await staff.sell(stock=2))
    return str(order["id"])
