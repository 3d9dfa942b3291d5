"""What a test opens, it closes also when it fails: what is left open fails the tests after it."""

import ast
from collections.abc import Iterator

from test_shape import ROOT, functions, proofs


def left_open(source: str) -> Iterator[int]:
    """Yield the lines of context managers after which something is closed on success alone."""
    for each in functions(ast.parse(source)):
        if any("contextmanager" in ast.unparse(one) for one in each.decorator_list):
            yield from _unguarded(each)


def _unguarded(manager: ast.AST) -> Iterator[int]:
    for node in ast.walk(manager):
        body = getattr(node, "body", [])
        for statement in body[:-1] if isinstance(body, list) else []:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Yield):
                yield statement.lineno


def test_a_context_manager_of_a_test_closes_also_after_a_failure() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in proofs()
        for line in left_open(path.read_text())
    ]
    assert found == []


def test_closing_on_success_alone_is_found() -> None:
    bad = "@contextmanager\ndef opened():\n    one = open()\n    yield one\n    one.close()\n"
    good = bad.replace(
        "    yield one\n    one", "    try:\n        yield one\n    finally:\n        one"
    )
    assert list(left_open(bad)) == [4]
    assert list(left_open(good)) == []
