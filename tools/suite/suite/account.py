"""The system account of the servers, and the folder of their data."""

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
    """A user and group that processes are started as."""

    name: str
    uid: int
    gid: int

    @property
    def is_current(self) -> bool:
        """Whether this process runs as the account."""
        return self.uid == os.geteuid()

    @property
    def identity(self) -> dict[str, Any]:
        """The arguments with which `subprocess` starts a process as this account."""
        return {} if self.is_current else {"user": self.uid, "group": self.gid, "extra_groups": []}

    def run(self, *command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a command as this account, with its output captured as text."""
        words = [str(word) for word in command]
        return subprocess.run(
            words, capture_output=True, text=True, check=False, cwd=cwd, **self.identity
        )

    def can(self, right: str, path: Path) -> bool:
        """Whether the account has the permission `r`, `w` or `x` on the path and can reach it."""
        return self.run("/usr/bin/test", f"-{right}", path, cwd=Path("/")).returncode == 0

    def make_folder(self, path: Path) -> None:
        """Create a folder that only this account may enter."""
        path.mkdir(mode=0o700, exist_ok=True)
        self.chown(path)

    def chown(self, path: Path) -> None:
        """Change the owner of a path to this account."""
        if not self.is_current:
            os.chown(path, self.uid, self.gid)


def server_account() -> Account:
    """Return the current account, or an unprivileged one for root."""
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
    """Return the folder of data and sockets, created on first use and recorded in `state-folder`.

    It is in the instance, unless that path is too long for a socket or closed to the account (such
    as root's clone under a folder of mode 700): then it is a short private folder.
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
    """Remove the recorded folder of data and sockets."""
    record = instance / "state-folder"
    if record.exists():
        shutil.rmtree(record.read_text().strip(), ignore_errors=True)
        record.unlink()
