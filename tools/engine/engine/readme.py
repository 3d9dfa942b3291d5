"""Follows the README on a bare system: its installation, `make up`, an order, `make down`."""

import re
from pathlib import Path

from engine import images
from engine.bare import HOMES, USER, Report, System
from suite import repository
from suite.refusals import Refusal

INSTALL = re.compile(r"`sudo (apt-get install [^`]+)`")
BLOCK = re.compile(r"```bash\n(.*?)```", re.DOTALL)
CLONE = "cartwright"


def text() -> str:
    """Return the text of the README."""
    return (repository.ROOT / "README.md").read_text()


def installation() -> str:
    """Return the README's installation command for Debian, as root."""
    found = INSTALL.search(text())
    if found is None:
        raise Refusal("the README has no installation command for Debian")
    return f"apt-get update -qq && {found[1]} --yes -qq"


def purchase() -> str:
    """Return the README's commands that place an order."""
    return next(block[1] for block in BLOCK.finditer(text()) if block[1].startswith("SHOP="))


def clone(system: System, account: str) -> None:
    """Copy the files of this working tree into an account's home."""
    target = Path(system.root, HOMES[account].lstrip("/"), CLONE)
    images.copy_files(repository.ROOT, target)
    system.must("root", f"chown -R {account}: {HOMES[account]}")


def buy(system: System, account: str, report: Report) -> None:
    """Start the suite twice, place an order, stop the suite. Raises Refusal on a failure."""
    clone(system, account)
    if account == USER:
        report("`make up` without RabbitMQ")
        refused = system.run(account, f"cd {CLONE} && make up")
        if not refused.returncode or "RabbitMQ" not in refused.stdout:
            raise Refusal(f"`make up` does not report that RabbitMQ is missing:\n{refused.stdout}")
        system.must("root", installation())
    for turn in ("first", "second"):
        report(f"`make up`, {turn} time")
        system.must(account, f"cd {CLONE} && make up")
    report("the purchase of the README")
    system.must("root", installation())
    output = system.must(account, f"cd {CLONE}\n{purchase()}")
    if "confirmed" not in output.splitlines():
        raise Refusal(f"the order of the README is not confirmed:\n{output}")
    report("`make down`")
    system.must(account, f"cd {CLONE} && make down")
    if left := system.processes():
        raise Refusal("processes after `make down`:\n" + "\n".join(left))


def test(system: System, account: str, report: Report) -> None:
    """Run every test, on the PostgreSQL of the release. Raises Refusal when one fails."""
    clone(system, account)
    system.must("root", f"{installation()} postgresql git")
    # Tests list the files with git.
    system.must(account, f"cd {CLONE} && git init --quiet")
    report("`make test`")
    output = system.must(account, f"cd {CLONE} && make test")
    for line in re.findall(r"^=+ (.*\d+ passed.*) =+$", output, re.MULTILINE):
        report(line)
    if left := system.processes():
        raise Refusal("processes after `make test`:\n" + "\n".join(left))
