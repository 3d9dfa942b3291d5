"""Replay: events of the log handed to one service again."""

import time
from typing import Annotated, Any

import typer

from cartwright import output
from cartwright.dead import OneService, known
from cartwright.output import Json, Reason, Yes
from cartwright.shop import connected

AT_ONCE = 500


def replay(
    service: OneService,
    start: Annotated[
        str, typer.Option("--from", help="2026-03-01T12:00:00Z, 2h (ago), or an offset of the log.")
    ],
    reason: Reason,
    types: Annotated[
        list[str] | None, typer.Option("--type", help="Only this type; may be repeated.")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="Only about this aggregate.")] = None,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Let handlers run again for what they had handled.")
    ] = False,
    rate: Annotated[float, typer.Option(min=0.1, help="At most so many a second.")] = 200.0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Hand events of the log to one service again; what its inbox knows is left out."""
    if force:
        output.confirmed(f"Let the handlers of {service} run again for all of it?", yes=yes)
    shop, path = connected(), f"/v1/admin/ops/{known(service)}/replay"
    whence = {"from_offset": int(start)} if start.isdigit() else _since(start)
    body = {"reason": reason, "types": _full(types), "subject": subject, "force": force}
    done = {"read": 0, "replayed": 0, "known": 0, "too_old": 0, "next_offset": None}
    with output.progress() as bar:
        task = bar.add_task(f"replaying into {service}", total=None)
        while True:
            began = time.monotonic()
            limit = max(1, min(AT_ONCE, int(rate)))
            found = shop.post(path, {**body, **whence, "limit": limit})
            for name in ("read", "replayed", "known", "too_old"):
                done[name] += found[name]
            bar.update(task, completed=done["read"])
            done["next_offset"] = found["next_offset"] or done["next_offset"]
            if found["finished"]:
                break
            whence = {"from_offset": found["next_offset"]}
            time.sleep(max(0.0, found["replayed"] / rate - (time.monotonic() - began)))
    output.as_json(done) if json else _print(done)


def _since(start: str) -> dict[str, Any]:
    return {"from_time": output.moment(start).isoformat()}


def _full(types: list[str] | None) -> list[str] | None:
    """Whole type names for `orders.OrderPlaced.v1`."""
    if not types:
        return None
    return [name if name.startswith("cartwright.") else f"cartwright.{name}" for name in types]


def _print(done: dict[str, Any]) -> None:
    output.say(
        f"{done['replayed']} of {done['read']} events read were handed in; "
        f"{done['known']} were known already."
    )
    if done["too_old"]:
        output.say(
            f"{done['too_old']} are older than the inbox: --force hands them in all the same."
        )
