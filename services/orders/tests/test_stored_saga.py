"""What `checkout_sagas` stores as JSON: rows of every release load, and their keys stay."""

from typing import Any

from saga_play import an_order

from chassis.ids import new_id
from orders.domain.checkout import Facts, Progress

STORED: dict[str, Any] = {
    "asked": ["ReserveStock", "CollectPayment"],
    "allocations": [],
    "stock_released": True,
    "reason": "customer_request",
    "said_cancelled": True,
    "handed_over": [str(new_id())],
    "delivered_at": "2026-03-01T12:00:00Z",
    "refusal": "partly_refused",
    "refunded_pieces": {str(new_id()): 2},
    "payment_sequence": 3,
    "promise_broken": True,
    "review": "payment",
    "reviews": 1,
}


def test_stored_progress_loads_and_saves_under_the_same_keys() -> None:
    progress = Progress.model_validate(STORED)
    assert progress.commands_sent == STORED["asked"]
    assert progress.cancellation_published
    assert progress.to_json() == STORED


def test_progress_of_a_newer_release_is_retained() -> None:
    assert Progress.model_validate({"unknown": {"a": 1}}).to_json() == {"unknown": {"a": 1}}


def test_new_progress_is_empty() -> None:
    assert Progress().to_json() == {}


def test_facts_of_an_older_release_load() -> None:
    facts = an_order().facts.model_dump(mode="json")
    older = {k: v for k, v in facts.items() if k not in ("traceparent", "link", "redeemer")}
    del older["payment"]["token"]
    loaded = Facts.model_validate({**older, "extra": 1})
    assert loaded.payment.token is None
    assert loaded.traceparent == ""
