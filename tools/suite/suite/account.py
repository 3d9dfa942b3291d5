"""Which system account the servers run as, and where their data may live."""

import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite.refusals import Refusal

# A Unix socket's path may hold 107 bytes, and the socket's own name needs some of them.
LONGEST_STATE_PATH = 90


@dataclass(frozen=True)
class Account:
    """A user id and group id that processes are started with."""

    name: str
    uid: int
    gid: int

    @property
    def is_ours(self) -> bool:
        """Whether we run as this account ourselves."""
        return self.uid == os.geteuid()

    @property
    def identity(self) -> dict[str, Any]:
        """What `subprocess` needs to start a process as this account."""
        return {} if self.is_ours else {"user": self.uid, "group": self.gid, "extra_groups": []}

    def run(self, *command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a command to its end as this account, with its output captured as text."""
        words = [str(word) for word in command]
        return subprocess.run(
            words, capture_output=True, text=True, check=False, cwd=cwd, **self.identity
        )

    def can(self, right: str, path: Path) -> bool:
        """Say whether the account has the right `r`, `w` or `x` on the path and may reach it."""
        return self.run("/usr/bin/test", f"-{right}", path, cwd=Path("/")).returncode == 0

    def make_folder(self, path: Path) -> None:
        """Make a folder that only this account may enter."""
        path.mkdir(mode=0o700, exist_ok=True)
        self.give(path)

    def give(self, path: Path) -> None:
        """Make the account the owner of a path."""
        if not self.is_ours:
            os.chown(path, self.uid, self.gid)


def server_account() -> Account:
    """Choose who runs the servers: ourselves, or an unprivileged account when we are root."""
    if os.geteuid() != 0:
        return Account(pwd.getpwuid(os.geteuid()).pw_name, os.geteuid(), os.getegid())
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise Refusal("PostgreSQL does not run as root and there is no account `nobody`: add one.")


def state_folder(instance: Path, account: Account) -> Path:
    """Return the folder of data and sockets, made on first use and recorded in `state-folder`.

    It lies in the instance, unless that path is too long for a socket or closed to the account
    (a clone under a folder of mode 700, used as root): then it is a short private folder.
    """
    record = instance / "state-folder"
    if record.exists() and (known := Path(record.read_text().strip())).is_dir():
        return known
    folder = instance / "state"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)
    if len(os.fsencode(folder)) > LONGEST_STATE_PATH or not account.can("x", folder):
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="cartwright-", dir="/var/tmp"))
        folder.chmod(0o711)
    record.write_text(f"{folder}\n")
    return folder


def remove_state_folder(instance: Path) -> None:
    """Remove the folder of data and sockets, wherever it is recorded to be."""
    record = instance / "state-folder"
    if record.exists():
        shutil.rmtree(record.read_text().strip(), ignore_errors=True)
        record.unlink()
