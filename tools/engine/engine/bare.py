"""Bare Debian systems, in which the README is followed as on a machine that has nothing yet.

A system is a folder made by debootstrap with processes of its own, which end with it. Its network
is this machine's, and so are the package mirror and the package index it installs from.
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
# What is passed on of the environment: how this machine reaches its package indexes.
PASSED = re.compile(r"(https?|no|all)_proxy|pip_(?!find_links)\w+|npm_config_\w+", re.IGNORECASE)
PIP = re.compile(r"global\.(index-url|extra-index-url|trusted-host|proxy|timeout)=(.*)")
APT = re.compile(r"Acquire::(https?::|Check-(Date|Valid-Until) ).*")
TRUSTING = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
# Installing a package starts no server, whose ports would be this machine's.
POLICY = "#!/bin/sh\nexit 101\n"
# The first process: it ends when its input does, and lets ended children go.
FIRST = (
    "import signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); print(); sys.stdin.read()"
)
MOUNT = (
    'mount -t proc proc "$0/proc" && mount -t tmpfs tmpfs "$0/dev/shm" '
    '&& exec chroot "$0" /usr/bin/python3 -uc "$1"'
)

Report = Callable[[str], None]


def require() -> None:
    """Raise Refusal, saying what is missing, where bare systems cannot be made."""
    wants = []
    if missing := [name for name in PROGRAMS if not shutil.which(name)]:
        wants.append(f"{', '.join(missing)}: Debian, with apt-get install debootstrap util-linux")
    if os.geteuid() != 0:
        wants.append("root, to make systems and enter them: use sudo")
    elif not missing and _run("unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"):
        wants.append("the right to mount file systems, which this container or machine withholds")
    if wants:
        raise Refusal("bare systems need\n" + "\n".join(f"  - {want}" for want in wants))


def _run(*command: object) -> str:
    """Run a command; returns what it printed when it failed, and nothing when it did not."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return f"`{' '.join(words)}` failed:\n{done.stdout}{done.stderr}" if done.returncode else ""


def _must(*command: object) -> None:
    if failed := _run(*command):
        raise Refusal(failed[:200] + "\n" + failed[-1500:])


def mirrors() -> dict[str, str]:
    """Return the addresses apt gets Debian and its security updates from, by their labels.

    Raises Refusal where apt has none.
    """
    form = ["--format", "$(LABEL)\t$(REPO_URI)", "Created-By: Packages"]
    told = subprocess.run(
        ["apt-get", "indextargets", *form],  # noqa: S607
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    found = dict(line.split("\t") for line in told.splitlines())
    if "Debian" not in found:
        raise Refusal("apt knows no Debian mirror: apt-get update may help")
    return {label: uri for label, uri in found.items() if label in ("Debian", "Debian-Security")}


def base(folder: Path, release: int, report: Report) -> Path:
    """Return the file system of a release, made on first use. Raises Refusal."""
    root = folder / f"debian-{release}"
    if root.exists():
        return root
    report(f"making Debian {release} (some minutes)")
    unfinished = root.with_name(f"{root.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    options = ["--variant=minbase", f"--include={','.join(PACKAGES)}"]
    codename, found = CODENAMES[release], mirrors()
    _must("debootstrap", *options, codename, unfinished, found["Debian"])
    _equip(unfinished, codename, found)
    unfinished.rename(root)
    return root


def _equip(root: Path, codename: str, found: dict[str, str]) -> None:
    """Give a fresh file system its sources of packages and an ordinary user."""
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
    told = subprocess.run(
        ["apt-config", "dump", "Acquire"],  # noqa: S607
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    return "".join(f"{line}\n" for line in told.splitlines() if APT.fullmatch(line))


def environment(account: str) -> dict[str, str]:
    """Return the environment of an account's shell, by which it reaches this machine's indexes."""
    told = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    found = filter(None, map(PIP.fullmatch, told.splitlines()))
    settings = {match[1].upper().replace("-", "_"): match[2] for match in found}
    return {
        "HOME": HOMES[account],
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
        **{f"PIP_{name}": ast.literal_eval(value) for name, value in settings.items()},
        **{name: value for name, value in os.environ.items() if PASSED.fullmatch(name)},
        **dict.fromkeys(TRUSTING, CERTIFICATES),
    }


@dataclass(frozen=True)
class System:
    """A running bare system; `first` is the id of its first process on this machine."""

    root: Path
    first: int
    log: Path

    def run(self, account: str, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script of bash in the account's home; the log shows what it prints as it runs."""
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
        """Run as `run` does and return what was printed; raises Refusal when it fails."""
        done = self.run(account, script)
        if done.returncode:
            end = "\n".join(done.stdout.splitlines()[-40:])
            raise Refusal(f"`{script}` failed as {account} ({self.log}):\n{end}")
        return done.stdout

    def processes(self) -> list[str]:
        """Return the command lines of all its living processes but the first."""
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
    """Run a fresh copy of a base for as long as the context lasts. Raises Refusal."""
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
        # The context's end closes the first process's input; its end ends everything in the system.
        yield System(root, first.pid, log)
    shutil.rmtree(root)
