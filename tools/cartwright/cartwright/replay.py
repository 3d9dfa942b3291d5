"""`cartwright replay`: republish events of the log to one service."""

import time
from typing import Annotated, Any

import typer

from cartwright import output
from cartwright.admin_api import connect
from cartwright.dead_letters import OneService, checked_service
from cartwright.output import Json, Reason, Yes

BATCH_SIZE = 500


def replay(
    service: OneService,
    start: Annotated[
        str, typer.Option("--from", help="2026-03-01T12:00:00Z, 2h (ago), or an offset in the log.")
    ],
    reason: Reason,
    types: Annotated[
        list[str] | None, typer.Option("--type", help="Only this type; may be repeated.")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="Only about this aggregate.")] = None,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Rerun handlers for events they have handled.")
    ] = False,
    rate: Annotated[float, typer.Option(min=0.1, help="Events per second, at most.")] = 200.0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Republish events of the log to one service; its inbox skips those it has handled."""
    if force:
        output.confirm(f"Rerun the handlers of {service} for all of these events?", yes=yes)
    api, path = connect(), f"/v1/admin/ops/{checked_service(service)}/replay"
    start_at = {"from_offset": int(start)} if start.isdigit() else _since(start)
    body = {"reason": reason, "types": _full(types), "subject": subject, "force": force}
    done = {"read": 0, "replayed": 0, "known": 0, "too_old": 0, "next_offset": None}
    with output.progress() as bar:
        task = bar.add_task(f"replaying into {service}", total=None)
        while True:
            began = time.monotonic()
            limit = max(1, min(BATCH_SIZE, int(rate)))
            found = api.post(path, {**body, **start_at, "limit": limit})
            for name in ("read", "replayed", "known", "too_old"):
                done[name] += found[name]
            bar.update(task, completed=done["read"])
            done["next_offset"] = found["next_offset"] or done["next_offset"]
            if found["finished"]:
                break
            start_at = {"from_offset": found["next_offset"]}
            time.sleep(max(0.0, found["replayed"] / rate - (time.monotonic() - began)))
    output.as_json(done) if json else _print(done)


def _since(start: str) -> dict[str, Any]:
    return {"from_time": output.parse_time(start).isoformat()}


def _full(types: list[str] | None) -> list[str] | None:
    """Type names with the `cartwright.` prefix."""
    if not types:
        return None
    return [name if name.startswith("cartwright.") else f"cartwright.{name}" for name in types]


def _print(done: dict[str, Any]) -> None:
    output.show(
        f"Read {done['read']} events and republished {done['replayed']}; "
        f"{done['known']} were handled before."
    )
    if done["too_old"]:
        output.show(f"{done['too_old']} are older than the inbox: --force republishes them too.")
