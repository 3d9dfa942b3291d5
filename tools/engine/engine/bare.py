"""Bare Debian systems, on which the README is followed as on a new machine.

A system is a folder created by debootstrap with processes of its own, which end with it. It shares
this machine's network, package mirror and package index.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from suite.refusals import Refusal

CODENAMES = {12: "bookworm", 13: "trixie"}
PACKAGES = ("python3", "python3-venv", "make", "ca-certificates")
PROGRAMS = ("debootstrap", "apt-get", "nsenter", "unshare")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
USER = "shopper"
HOMES = {"root": "/root", USER: f"/home/{USER}"}
# Variables that are passed on: they name this machine's package indexes.
PASSED = re.compile(r"(https?|no|all)_proxy|pip_(?!find_links)\w+|npm_config_\w+", re.IGNORECASE)
PIP = re.compile(r"global\.(index-url|extra-index-url|trusted-host|proxy|timeout)=(.*)")
APT = re.compile(r"Acquire::(https?::|Check-(Date|Valid-Until) ).*")
CERTIFICATE_SETTINGS = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
# Prevents installed packages from starting servers, whose ports would be this machine's.
POLICY = "#!/bin/sh\nexit 101\n"
# The init process: it ends at the end of its input, and reaps children.
FIRST = (
    "import signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); print(); sys.stdin.read()"
)
MOUNT = (
    'mount -t proc proc "$0/proc" && mount -t tmpfs tmpfs "$0/dev/shm" '
    '&& exec chroot "$0" /usr/bin/python3 -uc "$1"'
)

Report = Callable[[str], None]


def require() -> None:
    """Raise Refusal with everything that this machine lacks for bare systems."""
    wants = []
    if missing := [name for name in PROGRAMS if not shutil.which(name)]:
        wants.append(f"{', '.join(missing)}: Debian, with apt-get install debootstrap util-linux")
    if os.geteuid() != 0:
        wants.append("root, to create and enter systems: use sudo")
    elif not missing and _run("unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"):
        wants.append("the permission to mount file systems, which this container or machine denies")
    if wants:
        raise Refusal("bare systems need\n" + "\n".join(f"  - {want}" for want in wants))


def _run(*command: object) -> str:
    """Run a command; returns its output when it failed, else an empty text."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return f"`{' '.join(words)}` failed:\n{done.stdout}{done.stderr}" if done.returncode else ""


def _must(*command: object) -> None:
    if failed := _run(*command):
        raise Refusal(failed[:200] + "\n" + failed[-1500:])


def mirrors() -> dict[str, str]:
    """Return apt's addresses of Debian and its security updates, by label.

    Raises Refusal when apt has none.
    """
    form = ["--format", "$(LABEL)\t$(REPO_URI)", "Created-By: Packages"]
    output = subprocess.run(
        ["apt-get", "indextargets", *form],  # noqa: S607
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    found = dict(line.split("\t") for line in output.splitlines())
    if "Debian" not in found:
        raise Refusal("apt has no Debian mirror: try apt-get update")
    return {label: uri for label, uri in found.items() if label in ("Debian", "Debian-Security")}


def base(folder: Path, release: int, report: Report) -> Path:
    """Return the file system of a release, created on first use. Raises Refusal."""
    root = folder / f"debian-{release}"
    if root.exists():
        return root
    report(f"creating Debian {release} (some minutes)")
    unfinished = root.with_name(f"{root.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    options = ["--variant=minbase", f"--include={','.join(PACKAGES)}"]
    codename, found = CODENAMES[release], mirrors()
    _must("debootstrap", *options, codename, unfinished, found["Debian"])
    _equip(unfinished, codename, found)
    unfinished.rename(root)
    return root


def _equip(root: Path, codename: str, found: dict[str, str]) -> None:
    """Configure a new file system's package sources and add an ordinary user."""
    suites = {codename: "Debian", f"{codename}-updates": "Debian"}
    suites |= {f"{codename}-security": "Debian-Security"} if "Debian-Security" in found else {}
    sources = [f"deb {found[label]} {suite} main\n" for suite, label in suites.items()]
    (root / "etc/apt/sources.list").write_text("".join(sources))
    (root / "etc/apt/apt.conf.d/90machine").write_text(_apt_settings())
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text(POLICY)
    policy.chmod(0o755)
    _must("chroot", root, "useradd", "--create-home", "--shell", "/bin/bash", USER)


def _apt_settings() -> str:
    output = subprocess.run(
        ["apt-config", "dump", "Acquire"],  # noqa: S607
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    return "".join(f"{line}\n" for line in output.splitlines() if APT.fullmatch(line))


def environment(account: str) -> dict[str, str]:
    """Return the environment of an account's shell, with this machine's package indexes."""
    output = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    found = filter(None, map(PIP.fullmatch, output.splitlines()))
    settings = {match[1].upper().replace("-", "_"): match[2] for match in found}
    return {
        "HOME": HOMES[account],
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
        **{f"PIP_{name}": ast.literal_eval(value) for name, value in settings.items()},
        **{name: value for name, value in os.environ.items() if PASSED.fullmatch(name)},
        **dict.fromkeys(CERTIFICATE_SETTINGS, CERTIFICATES),
    }


@dataclass(frozen=True)
class System:
    """A running bare system; `first` is the id of its first process on this machine."""

    root: Path
    first: int
    log: Path

    def run(self, account: str, script: str) -> subprocess.CompletedProcess[str]:
        """Run a bash script in the account's home; the log receives its output as it runs."""
        enter = ["nsenter", f"--target={self.first}", "--mount", "--pid", "--root"]
        become = [] if account == "root" else ["runuser", "-u", account, "--"]
        shell = ["bash", "-euo", "pipefail", "-c", f"cd\n{script}"]
        with self.log.open("a+") as log:
            log.write(f"# {account}\n{script}\n")
            log.flush()
            start = log.tell()
            done = subprocess.run(
                [*enter, f"--wdns={HOMES[account]}", *become, *shell],
                env=environment(account), stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, text=True, check=False,
            )  # fmt: skip
            log.seek(start)
            return subprocess.CompletedProcess(done.args, done.returncode, log.read())

    def must(self, account: str, script: str) -> str:
        """Run a script and return its output; raises Refusal when it fails."""
        done = self.run(account, script)
        if done.returncode:
            end = "\n".join(done.stdout.splitlines()[-40:])
            raise Refusal(f"`{script}` failed as {account} ({self.log}):\n{end}")
        return done.stdout

    def processes(self) -> list[str]:
        """Return the command lines of its live processes except the first."""
        own = Path(f"/proc/{self.first}/ns/pid").readlink()
        found = []
        for process in psutil.process_iter():
            try:
                inside = Path(f"/proc/{process.pid}/ns/pid").readlink() == own
                if inside and process.pid != self.first and process.status() != "zombie":
                    found.append(" ".join(process.cmdline()))
            except (OSError, psutil.Error):
                continue
        return found


@contextmanager
def running(made: Path, root: Path) -> Iterator[System]:
    """Run a copy of a base system for the context. Raises Refusal."""
    shutil.rmtree(root, ignore_errors=True)
    _must("cp", "-a", made, root)
    for name in ("/etc/resolv.conf", "/etc/hosts", CERTIFICATES):
        if Path(name).exists():
            shutil.copy(name, root / name.lstrip("/"))
    log = root.with_suffix(".log")
    log.unlink(missing_ok=True)
    own = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    with subprocess.Popen(
        [*own, "sh", "-c", MOUNT, root, FIRST], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None  # noqa: S101
        if not holder.stdout.readline():
            raise Refusal(f"the system in {root} could not be started")
        (first,) = psutil.Process(holder.pid).children()
        # Popen closes the first process's input; the end of that process kills all others.
        yield System(root, first.pid, log)
    shutil.rmtree(root)
