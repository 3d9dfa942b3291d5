"""The ledger: its sums, its pages, and its entries after a kill."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from sandbox_provider.switches import SWITCHES
from testkit.payment_provider import ProviderProcess, Receiver, a_charge


def test_the_whole_ledger_sums_to_zero_page_by_page(provider: ProviderProcess) -> None:
    for token in ("tok_ok", "tok_declined", "tok_capture_fails"):
        provider.charge(token)
    entries: list[dict[str, Any]] = []
    after: int | None = 0

    while after is not None:
        answer = provider.client.get("/v1/ledger", params={"after": after, "limit": 7})
        page = answer.raise_for_status().json()
        entries, after = entries + page["entries"], page["next"]

    ids = [entry["id"] for entry in entries]
    assert ids == sorted(set(ids))
    assert sum(entry["amount"] for entry in entries) == 0
    by_transfer = Counter[tuple[str, str]]()
    for entry in entries:
        by_transfer[entry["charge_id"], entry["transfer"]] += entry["amount"]
    assert set(by_transfer.values()) == {0}


def test_a_reader_that_follows_the_ledger_misses_no_entry(provider: ProviderProcess) -> None:
    last = provider.client.get("/v1/ledger", params={"limit": 1000}).json()["entries"][-1]["id"]
    seen: list[int] = []

    def follow() -> None:
        after = max([last, *seen])
        page = provider.client.get("/v1/ledger", params={"after": after}).json()
        seen.extend(entry["id"] for entry in page["entries"])

    with ThreadPoolExecutor(8) as pool:
        charging = [pool.submit(provider.charge) for _ in range(60)]
        while not all(charge.done() for charge in charging):
            follow()
    follow()

    assert len(seen) == 4 * len(charging)


@pytest.fixture
def process(sandbox_database: str, receiver: Receiver) -> Iterator[ProviderProcess]:
    """A provider of its own, for a test that kills it."""
    made = ProviderProcess(
        database_url=sandbox_database,
        webhook_url=receiver.url,
        WEBHOOK_RETRY_SECONDS="[0.1]",
    )
    made.start()
    yield made
    made.close()


def test_a_kill_under_load_loses_and_repeats_no_charge(
    process: ProviderProcess, receiver: Receiver
) -> None:
    requests = {str(uuid4()): a_charge() for _ in range(120)}
    answered: dict[str, bytes] = {}

    def send(key: str) -> None:
        try:
            answered[key] = process.post("/v1/charges", requests[key], key).content
        except httpx.TransportError:
            return
        if len(answered) == 40:
            process.kill()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, requests))
    assert 40 <= len(answered) < len(requests)

    process.start()
    again = {key: process.post("/v1/charges", requests[key], key).content for key in requests}

    assert {key: again[key] for key in answered} == answered
    for request in requests.values():
        reference = request["reference"]
        assert process.balances(reference) == {"customer": -1999, "merchant": 1999}
        assert len(process.charges_of(reference)) == 1
        receiver.wait(reference)
        assert len({webhook.event["id"] for webhook in receiver.of(reference)}) == 1


def test_the_readme_explains_every_token() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()

    assert [token for token in SWITCHES if f"`{token}`" not in readme] == []
