"""The suite is watched in containers: samples, rules, alerts that reach their receiver, and spans."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from composition import Composition, buys, docker
from expressions import silent
from pasting import Operator, blocks
from watching import OperatorCli, Watch, listening, queries, text

from checkout_trace import Trace
from shopfloor import Buyer, Staff, until

pytestmark = pytest.mark.thorough
WAIT_LIMIT = 120.0
# Version 2 takes a page for text whatever it is called; version 3, which the compose file names, does not:
# https://prometheus.io/docs/prometheus/latest/migration/#scrape-protocols
KINDS = {"text/plain", "application/openmetrics-text"}
# What finds nothing in a shop where nothing is wrong.
EXCUSED = {
    '{http_response_status_code=~"5.."}': "no request failed",
    '{service=~".*",http_response_status_code=~"5.."}': "no request failed",
    '{service=~".*",http_response_status_code=~"0|5.."}': "every call to others was answered",
    '{service=~".*",outcome="repeated"}': "nothing was delivered twice",
}
# An expression with a wrong name, and the fault reported.
PLANTED = {
    "a metric": ("cartwright_sagas_overdu > 0", "there is no cartwright_sagas_overdu"),
    "a matcher": ('up{jop="cartwright"} == 0', "no up has the label jop"),
    "a value": (
        'max by (service) (cartwright_sagas_open{stage="need_review"}) > 0',
        'no cartwright_sagas_open has {stage="need_review"}',
    ),
    "a grouping": ("sum by (queu) (up)", "nothing has the label queu"),
}


@pytest.fixture(scope="module")
def watch(composition: Composition) -> Watch:
    return Watch(composition)


@pytest.fixture(scope="module")
def desk(composition: Composition) -> Iterator[OperatorCli]:
    with listening() as found:
        yield found


def expressions() -> dict[str, str]:
    """Every alert's and every panel's expression by its name."""
    alerts = {
        rule["alert"]: rule["expr"]
        for group in text("alerts.yaml")["groups"]
        for rule in group["rules"]
    }
    (panels,) = queries()["groups"]
    named = {
        f"{rule['labels']['board']}: {rule['labels']['panel']} ({rule['record']})": rule["expr"]
        for rule in panels["rules"]
    }
    return alerts | named


def expected_targets() -> set[tuple[str, str]]:
    """Every job's targets, as prometheus.yaml names them."""
    return {
        (job["job_name"], target)
        for job in text("prometheus.yaml")["scrape_configs"]
        for group in job["static_configs"]
        for target in group["targets"]
    }


async def test_every_target_is_up(watch: Watch) -> None:
    async def up() -> bool:
        targets = watch.prometheus("targets")["activeTargets"]
        found = {(each["labels"]["job"], each["labels"]["instance"]) for each in targets}
        assert found == expected_targets()
        return {each["health"] for each in targets} == {"up"}

    await until(up, WAIT_LIMIT)


def test_every_page_is_of_a_kind_that_prometheus_3_takes(watch: Watch) -> None:
    urls = [each["scrapeUrl"] for each in watch.prometheus("targets")["activeTargets"]]
    kinds = watch.kinds(urls)
    assert set(kinds) == set(urls)
    assert {kind.partition(";")[0] for kind in kinds.values()} <= KINDS, kinds


async def test_every_rule_is_evaluated_and_reads_what_is_there(
    watch: Watch, staff: Staff, http: httpx.AsyncClient
) -> None:
    await buys(Buyer(http, staff), await staff.sell(stock=3))
    declined = {"method": "card", "token": "tok_declined"}
    order = await Buyer(http, staff).buys(await staff.sell(stock=1), payment=declined, wait=0)
    assert (await staff.ended(order["id"], WAIT_LIMIT))["stage"] == "cancelled"

    async def evaluated() -> list[dict[str, Any]] | None:
        rules = [r for group in watch.prometheus("rules")["groups"] for r in group["rules"]]
        return rules if all(each["health"] != "unknown" for each in rules) else None

    rules = await until(evaluated, WAIT_LIMIT)
    wrong = {each["name"]: each.get("lastError") for each in rules if each["health"] != "ok"}
    assert wrong == {}
    assert len(rules) == len(expressions())
    last: list[str] = []

    async def all_read() -> bool:
        last[:] = silent(expressions(), watch.series, EXCUSED)
        return not last

    try:
        await until(all_read)
    except AssertionError:
        assert last == []


@pytest.mark.parametrize("name", PLANTED)
def test_a_wrong_name_in_a_rule_is_seen(watch: Watch, name: str) -> None:
    expression, fault = PLANTED[name]
    assert silent({"Planted": expression}, watch.series, {}) == [f"Planted: {fault}"]


async def test_who_is_on_call_is_paged_when_a_service_dies(
    composition: Composition, watch: Watch, desk: OperatorCli
) -> None:
    def paged(action: str) -> list[str]:
        return [
            sent["payload"]["summary"] if action == "trigger" else sent["dedup_key"]
            for sent in desk.of("/pager")
            if sent["event_action"] == action and sent["routing_key"] == "a-routing-key"
        ]

    async def fires() -> bool:
        alerts = watch.prometheus("alerts")["alerts"]
        return ("ServiceDown", "feed", "firing") in {
            (each["labels"]["alertname"], each["labels"].get("service"), each["state"])
            for each in alerts
        }

    async def arrived() -> list[dict[str, Any]]:
        return [
            each
            for each in watch.alerts()
            if each["labels"]["alertname"] == "ServiceDown" and each["labels"]["service"] == "feed"
        ]

    container = composition.container("feed")
    docker("kill", container)
    try:
        await until(fires, WAIT_LIMIT)
        (alert,) = await until(arrived, WAIT_LIMIT)
        assert [each["name"] for each in alert["receivers"]] == ["pager"]
        assert alert["annotations"]["runbook_url"] == "docs/runbooks/service-down.md"

        async def sent() -> bool:
            return any("ServiceDown" in each and "feed" in each for each in paged("trigger"))

        await until(sent, WAIT_LIMIT)
    finally:
        docker("start", container)

    async def over() -> bool:
        return bool(paged("resolve"))

    await until(over, WAIT_LIMIT)


async def test_a_dead_letter_is_a_ticket_until_it_is_discarded(
    composition: Composition, watch: Watch, desk: OperatorCli, operator: Operator
) -> None:
    def tickets(state: str) -> list[str]:
        titles = [sent["attachments"][0]["title"] for sent in desk.of("/tickets")]
        return [title for title in titles if "DeadLetters" in title and title.startswith(state)]

    async def sent() -> list[str]:
        return tickets("[FIRING")

    async def over() -> list[str]:
        return tickets("[RESOLVED")

    await asyncio.to_thread(composition.poison)
    await until(sent, WAIT_LIMIT)
    receivers = {
        receiver["name"]
        for each in watch.alerts()
        for receiver in each["receivers"]
        if each["labels"]["alertname"] == "DeadLetters"
    }
    assert receivers == {"tickets"}
    *_, discard = blocks("dead-letters.md")
    await asyncio.to_thread(operator.pastes, discard)
    await until(over, WAIT_LIMIT)


async def test_a_checkout_in_containers_is_one_trace(
    watch: Watch, staff: Staff, http: httpx.AsyncClient
) -> None:
    product, buyer = await staff.sell(stock=1), Buyer(http, staff)
    trace = Trace(watch, buyer)
    await buys(buyer, product)
    del buyer.http.headers["traceparent"]

    async def whole() -> bool:
        return not trace.faults()

    try:
        await until(whole, WAIT_LIMIT)
    except AssertionError:
        assert trace.faults() == []
    assert len({span.service for span in trace.spans}) >= 7
