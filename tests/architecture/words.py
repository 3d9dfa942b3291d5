"""Words that this code does not use, and the few places where one of them is right.

A reader meets the field's terms alone: a handler handles a message, a relay publishes it, a store
stores a row. The words below once stood for these and for many other things.

`python tests/architecture/words.py [path …]` prints where they stand.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READ = frozenset({".py", ".md", ".toml", ".yml", ".yaml", ".sh", ""})
# What was published before, and what a tool writes, stays as it is.
LEFT_OUT = re.compile(
    r"(^|/)migrations/|\.lock$|^libs/contracts/contracts/(schemas|examples)/|^LICENSE$"
    r"|^tests/architecture/(test_)?words\.py$"
)
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")

BANNED = {
    **dict.fromkeys(("say", "says", "said", "saying"), "publish, record, state"),
    **dict.fromkeys(("tell", "tells", "told", "telling"), "publish, return, notify"),
    **dict.fromkeys(("hear", "hears", "heard", "hearing"), "handle, consume, receive"),
    **dict.fromkeys(("obey", "obeys", "obeyed"), "handle, follow"),
    **dict.fromkeys(("kept", "keeps"), "store, retain, cache, leave"),
    **dict.fromkeys(("mend", "mends", "mended", "mending"), "repair, fix"),
    **dict.fromkeys(("asked", "asks", "asking", "asker"), "request, call, query"),
    **dict.fromkeys(("nobody", "somebody", "whoever", "everybody"), "name the actor"),
    **dict.fromkeys(("anew", "nought", "spoilt", "unspoilt", "unhurried"), "plain words"),
    **dict.fromkeys(("company", "flock", "patience", "yardstick", "strays"), "the field's term"),
    **dict.fromkeys(("letterbox", "mailroom", "tally", "deeds", "whims"), "the field's term"),
}

# A file, or a folder that ends in `/`; the words that are right there; and why.
ALLOWED: tuple[tuple[str, frozenset[str], str], ...] = (
    ("deploy/tests/test_compose.py", frozenset({"nobody"}), "the user of official images"),
    (
        "services/orders/",
        frozenset({"heard"}),
        "the column of saga_log, and the field of a saga's steps",
    ),
    (
        "services/orders/orders/domain/checkout.py",
        frozenset({"asked", "said"}),
        "keys in stored progress",
    ),
    (
        "services/orders/tests/test_stored_saga.py",
        frozenset({"asked", "said"}),
        "keys in stored progress",
    ),
    (
        "libs/contracts/contracts/samples.py",
        frozenset({"heard"}),
        "the field `heard` of a saga's steps",
    ),
    (
        "tests/integration/",
        frozenset({"heard"}),
        "the field `heard` of a saga's steps, and its column",
    ),
    ("tests/faults/histories.py", frozenset({"heard"}), "the column of saga_log"),
    ("tests/integration/test_cancelling.py", frozenset({"asked"}), "the text of a mail"),
    ("tests/integration/test_operator_books.py", frozenset({"said"}), "a key in stored progress"),
    (
        "services/notifications/notifications/templates/en.toml",
        frozenset({"asked", "somebody", "tell"}),
        "mails to customers are in ordinary English",
    ),
    ("tools/", frozenset({"flock"}), "the function of fcntl"),
    ("tools/suite/suite/account.py", frozenset({"nobody"}), "the unprivileged Unix account"),
    ("tools/suite/tests/test_places.py", frozenset({"nobody"}), "the unprivileged Unix account"),
    ("tools/engine/engine/bare.py", frozenset({"tell"}), "a method of files"),
    ("tools/cartwright/cartwright/saga.py", frozenset({"heard"}), "a field of a saga's steps"),
    ("tools/suite/suite/shop/story.py", frozenset({"heard"}), "a field of a saga's steps"),
    ("tools/suite/tests/test_sample_shop.py", frozenset({"heard"}), "a field of a saga's steps"),
)


def files(*paths: str) -> list[str]:
    """The files that git knows or would add, below some paths."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "--", *paths],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    return [
        name
        for name in listed
        if Path(name).suffix in READ and not LEFT_OUT.search(name) and (ROOT / name).is_file()
    ]


def banned_in(text: str) -> Iterator[tuple[int, str]]:
    """The lines and words of a text that are banned; names count word by word."""
    for number, line in enumerate(text.splitlines(), start=1):
        for word in WORD.findall(line):
            if word.lower() in BANNED:
                yield number, word.lower()


def allowed_in(name: str) -> frozenset[str]:
    """The words that are right in a file."""
    words: frozenset[str] = frozenset()
    for place, some, _ in ALLOWED:
        if name == place or (place.endswith("/") and name.startswith(place)):
            words |= some
    return words


def found(*paths: str) -> list[str]:
    """Every banned word below some paths, as `file:line: word → what to write`."""
    places = []
    for name in files(*paths):
        allowed = allowed_in(name)
        try:
            text = (ROOT / name).read_text()
        except UnicodeDecodeError:
            continue
        for number, word in banned_in(text):
            if word not in allowed:
                places.append(f"{name}:{number}: {word} → {BANNED[word]}")
    return places


def main() -> None:
    """Print the banned words below the paths given, or everywhere."""
    places = found(*sys.argv[1:])
    sys.stdout.write("".join(f"{each}\n" for each in places) + f"{len(places)} places\n")
    sys.exit(1 if places else 0)


if __name__ == "__main__":
    main()
