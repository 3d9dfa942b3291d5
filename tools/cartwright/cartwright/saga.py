"""Sagas: where each order's process stands and why, and what to do when one stands still."""

from typing import Annotated, Any
from uuid import UUID

import typer

from cartwright import output
from cartwright.output import Json, Reason, Yes
from cartwright.refusals import Refusal
from cartwright.shop import Shop, connected

app = typer.Typer(help="Where each order's process stands and why; mend what stands still.")

Order = Annotated[str, typer.Argument(help="The order's number, such as 2026-000001, or its id.")]
PATH = "/v1/admin/sagas"


@app.command()
def show(order: Order, *, json: Json = False) -> None:
    """Show a saga's timeline: each step with its wait, attempt, message and trace."""
    shop = connected()
    found = shop.get(f"{PATH}/{id_of(shop, order)}")
    if json:
        output.as_json(found)
        return
    _print(found)


@app.command(name="list")
def list_sagas(
    *,
    stuck: Annotated[
        bool, typer.Option("--stuck", help="Only those that repeat, stand still or wait for staff.")
    ] = False,
    stage: Annotated[str | None, typer.Option(help="Only those in a stage.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    json: Json = False,
) -> None:
    """List sagas, the newest first."""
    query = {"stage": stage, "stuck": "true" if stuck else None}
    found = list(connected().pages(PATH, most=limit, **query))
    if json:
        output.as_json(found)
        return
    table = output.table("order", "status", "stage", ">tries", "deadline", "changed")
    for saga in found:
        table.add_row(
            saga["order_number"],
            saga["status"],
            saga["stage"],
            str(saga["repeats"] + 1),
            output.ago(saga["deadline_at"]),
            output.ago(saga["updated_at"]),
        )
    output.console.print(table if found else "No saga stands still." if stuck else "No saga.")
    if stuck and found:
        output.console.print("`cartwright saga show ORDER` tells why; `retry` has it ask again.")


@app.command()
def retry(order: Order, reason: Reason, *, json: Json = False) -> None:
    """Ask once more, now, for what the saga waits for; nothing is done twice."""
    _act("retry", order, reason, as_json=json)


@app.command()
def skip(order: Order, reason: Reason, *, yes: Yes = False, json: Json = False) -> None:
    """Go on as though the stage were done, because it was done by hand."""
    output.confirmed(f"Was the stage of {order} really done by hand?", yes=yes)
    _act("skip", order, reason, as_json=json)


@app.command()
def compensate(order: Order, reason: Reason, *, yes: Yes = False, json: Json = False) -> None:
    """Undo the order: parcels kept back, money given back, stock and coupon released."""
    output.confirmed(f"Undo {order} and give its money back?", yes=yes)
    _act("compensate", order, reason, as_json=json)


@app.command()
def resume(order: Order, reason: Reason, *, json: Json = False) -> None:
    """Let a saga go on that waits for staff, or that has no deadline or is long past it."""
    _act("resume", order, reason, as_json=json)


def _act(deed: str, order: str, reason: str, *, as_json: bool) -> None:
    shop = connected()
    found = shop.post(f"{PATH}/{id_of(shop, order)}/{deed}", {"reason": reason})
    if as_json:
        output.as_json(found)
        return
    sent = output.listed(found["steps"][-1]["sent"])
    output.console.print(f"{found['order_number']} is {found['stage']}; sent: {sent}.")


def id_of(shop: Shop, order: str) -> str:
    """The id of an order given by its number or id; raises Refusal for one that is not there."""
    try:
        return str(UUID(order))
    except ValueError:
        pass
    found = shop.get("/v1/admin/orders", order_number=order)["items"]
    if not found:
        raise Refusal(f"there is no order {order}; `cartwright saga list` names the latest.")
    return str(found[0]["id"])


def _print(saga: dict[str, Any]) -> None:
    show = output.console.print
    show(f"[bold]Order {saga['order_number']}[/]  {saga['order_id']}")
    stands = [f"status [bold]{saga['status']}[/]", f"stage [bold]{saga['stage']}[/]"]
    if saga["deadline_at"]:
        stands.append(f"deadline {output.ago(saga['deadline_at'])}")
    if saga["repeats"]:
        stands.append(f"[yellow]repeated {saga['repeats']} times[/]")
    show(" · ".join(stands))
    table = output.table("time (UTC)", ">after", ">try", "stage", "heard", "sent")
    for step in saga["steps"]:
        moved = step["stage"] != step["next_stage"]
        ids = [f"[dim]message {step['message_id']}[/]"] if step["message_id"] else []
        ids += [f"[dim]trace {step['trace_id']}[/]"] if step["trace_id"] else []
        style = "dim" if step["outcome"] == "ignored" else ""
        table.add_row(
            output.clock(step["at"]),
            output.span(step["seconds"]),
            str(step["attempt"] or "–"),
            step["stage"] + (f" → {step['next_stage']}" if moved else ""),
            "\n".join([step["heard"] + (" (ignored)" if style else ""), *ids]),
            "\n".join(step["sent"]) or "–",
            style=style,
        )
    show(table)
