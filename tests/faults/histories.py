"""Takes the histories of finished sagas out of a running suite: one of each way an order can go."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import asyncpg
from saga_history import FILE, History

from suite.instance import Instance

FINISHED = (
    "select o.id, o.total_amount, o.payment_method, s.facts from orders o "
    "join checkout_sagas s on s.order_id = o.id where s.stage in ('completed', 'cancelled') "
    # A part given back by staff is an amount that the log does not keep.
    "and not exists (select 1 from saga_log l where l.order_id = o.id "
    "and l.stage = 'completed' and l.heard = 'PaymentRefunded') order by o.id"
)
STEPS = "select order_id, stage, heard, outcome, next_stage, sent from saga_log order by at, id"


async def taken(dsn: str) -> list[History]:
    """Every finished saga's history."""
    connection = await asyncpg.connect(dsn)
    try:
        orders = await connection.fetch(FINISHED)
        steps: dict[Any, list[dict[str, Any]]] = {}
        for row in await connection.fetch(STEPS):
            step = {**dict(row), "sent": json.loads(row["sent"])}
            steps.setdefault(step.pop("order_id"), []).append(step)
    finally:
        await connection.close()
    return [
        {
            "coupon": facts.get("coupon") is not None,
            "total": row["total_amount"],
            "method": row["payment_method"],
            "capture": facts["payment"]["capture"],
            "steps": steps[row["id"]],
        }
        for row, facts in ((row, json.loads(row["facts"])) for row in orders)
    ]


def one_of_each(histories: list[History]) -> list[History]:
    """The first of those that went the same way, shortest first."""
    kinds: dict[tuple[Any, ...], History] = {}
    for each in histories:
        way = tuple((step["stage"], step["heard"]) for step in each["steps"])
        kinds.setdefault((each["coupon"], each["method"], way), each)
    return sorted(kinds.values(), key=lambda each: (len(each["steps"]), json.dumps(each)))


def main(folder: Path) -> None:
    """Write the histories of the suite in a folder to where the tests of orders keep them."""
    found = one_of_each(asyncio.run(taken(Instance(folder, "test").dsn("orders", "postgres"))))
    lines = ",\n".join(json.dumps(each) for each in found)
    FILE.write_text(f"[\n{lines}\n]\n")
    print(f"{len(found)} histories")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
