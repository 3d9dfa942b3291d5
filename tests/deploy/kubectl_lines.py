"""The kubectl commands of the documents: checked by kubectl itself and against the rendered manifests."""

import itertools
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from rendered import OVERLAYS, Manifests, kubectl, labels, manifests

from suite import repository

KINDS = {"deployment": "Deployment", "job": "Job"}
# Options whose value is a word of its own.
WITH_VALUE = {"-n", "-k", "-f", "-l"}
GROUPS = {"rollout", "create"}


def lines(page: Path) -> list[str]:
    """Every kubectl command of a page: in a block for a console, or between backticks."""
    text = page.read_text()
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    found = [line for block in blocks for line in block.splitlines()]
    found += re.findall(r"`([^`\n]*kubectl [^`\n]*)`", text)
    found += re.findall(r"^ {4}(kubectl .*?)(?: {3,}.*)?$", text, re.MULTILINE)
    return [
        part.strip()
        for line in found
        for part in line.split("|")
        if part.strip().startswith("kubectl ")
    ]


def faults(line: str) -> list[str]:
    """What is wrong with a command: its grammar, or what it speaks of is not there."""
    return [*_grammar(line), *_objects(line)]


def _grammar(line: str) -> Iterator[str]:
    # Help is printed where the words before it are options that the command has.
    arguments = shlex.split(line)[1:]
    help_text = subprocess.run(
        [kubectl(), *arguments, "--help"], capture_output=True, text=True, check=False
    )
    verbs = " ".join(_plain(arguments)[: 2 if GROUPS & set(arguments) else 1])
    if help_text.returncode:
        yield f"{line}: {help_text.stderr.strip()}"
    elif f"  kubectl {verbs} " not in f"{help_text.stdout} ":
        yield f"{line}: there is no `kubectl {verbs}`"


def _plain(arguments: list[str]) -> list[str]:
    """The words that are neither options nor their values."""
    plain = []
    before = ""
    for word in arguments:
        if not word.startswith("-") and before not in WITH_VALUE:
            plain.append(word)
        before = word
    return plain


def _objects(line: str) -> Iterator[str]:
    arguments = shlex.split(line)[1:]
    given = {name: value for name, value in itertools.pairwise(arguments) if name in WITH_VALUE}
    plain = _plain(arguments)
    overlays = [manifests(overlay) for overlay in OVERLAYS]
    spaces = {name for found in overlays for name in found.names("Namespace")}
    if "-n" in given and given["-n"] not in spaces:
        yield f"{line}: there is no namespace {given['-n']}"
    if plain[:2] == ["create", "namespace"] and plain[2] not in spaces:
        yield f"{line}: nothing lives in the namespace {plain[2]}"
    folder = given.get("-k") or (plain[1] if plain[0] == "kustomize" else None)
    if folder and not (repository.ROOT / folder / "kustomization.yaml").is_file():
        yield f"{line}: {folder} is no overlay"
    for found in overlays:
        yield from (f"{line}: {fault}" for fault in _absent(found, plain, given.get("-l")))


def _absent(found: Manifests, plain: list[str], selector: str | None) -> Iterator[str]:
    """Objects that the words name and an overlay does not have."""
    for word in plain[1:]:
        kind, _, name = word.partition("/")
        if kind not in KINDS:
            continue
        if name and name not in found.names(KINDS[kind]):
            yield f"there is no {word}"
        if not found.of(KINDS[kind]):
            yield f"there is no {kind}"
        if selector:
            key, _, value = selector.partition("=")
            if not any(labels(each).get(key) == value for each in found.of(KINDS[kind])):
                yield f"no {kind} has {selector}"
