"""The saga's table as a Mermaid picture; `python -m orders.saga.picture` prints it."""

from orders.domain.order import Stage
from orders.saga.table import FINAL, MOVES
from orders.saga.triggers import CaptureDue, Placed


def _heard(kinds: list[str]) -> str:
    return ", ".join(dict.fromkeys(kinds))


def mermaid() -> str:
    """Every move between two stages, the messages that lead the same way on one arrow."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (stage, heard), moves in MOVES.items():
        for move in moves:
            if stage is move.to or heard in (Placed, CaptureDue):
                continue
            arrows.setdefault((stage or "", move.to), []).append(heard.__name__)
    lines = ["stateDiagram-v2", f"    [*] --> {Stage.RESERVING}: Placed"]
    lines += [f"    {start} --> {end}: {_heard(kinds)}" for (start, end), kinds in arrows.items()]
    lines += [f"    {stage} --> [*]" for stage in sorted(FINAL)]
    return "\n".join(lines)


if __name__ == "__main__":
    print(mermaid())  # noqa: T201
