"""Following the README in a bare system: what it asks for, what it promises, and an order."""

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
    """Return the README."""
    return (repository.ROOT / "README.md").read_text()


def installation() -> str:
    """Return the command that the README gives for Debian, as root types it."""
    found = INSTALL.search(text())
    if found is None:
        raise Refusal("the README does not say what to install on Debian")
    return f"apt-get update -qq && {found[1]} --yes -qq"


def purchase() -> str:
    """Return the commands by which the README buys something."""
    return next(block[1] for block in BLOCK.finditer(text()) if block[1].startswith("SHOP="))


def clone(system: System, account: str) -> None:
    """Give an account the files of this working tree."""
    target = Path(system.root, HOMES[account].lstrip("/"), CLONE)
    images.copy_files(repository.ROOT, target)
    system.must("root", f"chown -R {account}: {HOMES[account]}")


def buy(system: System, account: str, report: Report) -> None:
    """Bring the suite up twice, buy something, end it. Raises Refusal when any of that fails."""
    clone(system, account)
    if account == USER:
        report("`make up` says what it needs")
        refused = system.run(account, f"cd {CLONE} && make up")
        if not refused.returncode or "RabbitMQ" not in refused.stdout:
            raise Refusal(f"`make up` does not say that RabbitMQ is missing:\n{refused.stdout}")
        system.must("root", installation())
    for turn in ("first", "second"):
        report(f"`make up`, {turn} time")
        system.must(account, f"cd {CLONE} && make up")
    report("the purchase of the README")
    system.must("root", installation())
    told = system.must(account, f"cd {CLONE}\n{purchase()}")
    if "confirmed" not in told.splitlines():
        raise Refusal(f"the order of the README is not confirmed:\n{told}")
    report("`make down`")
    system.must(account, f"cd {CLONE} && make down")
    if left := system.processes():
        raise Refusal("after `make down` there still run\n" + "\n".join(left))


def test(system: System, account: str, report: Report) -> None:
    """Run every test, on the PostgreSQL of the release. Raises Refusal when one fails."""
    clone(system, account)
    system.must("root", f"{installation()} postgresql git")
    # Tests ask git for the files, and a clone has it.
    system.must(account, f"cd {CLONE} && git init --quiet")
    report("`make test`")
    told = system.must(account, f"cd {CLONE} && make test")
    for line in re.findall(r"^=+ (.*\d+ passed.*) =+$", told, re.MULTILINE):
        report(line)
    if left := system.processes():
        raise Refusal("after `make test` there still run\n" + "\n".join(left))
