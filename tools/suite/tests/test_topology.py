"""The tracked definitions are derived from the messages that services handle and send."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from suite import repository, topology
from suite.repository import ROOT
from suite.topology import TRACKED

Definitions = dict[str, Any]


@pytest.fixture
def shop(bakery: Any) -> Definitions:
    return bakery.definitions()


def only(rows: list[Definitions], **wanted: str) -> Definitions:
    (found,) = [row for row in rows if wanted.items() <= row.items()]
    return found


def test_a_queue_is_bound_to_the_messages_of_its_service_alone(shop: Definitions) -> None:
    bound = {
        (row["source"], row["routing_key"], row["destination"])
        for row in shop["bindings"]
        if row["source"] in {"events", "commands"}
    }

    assert bound == {
        ("commands", "baker.Bake", "svc.baker"),
        ("events", "baker.Baked", "svc.waiter"),
        ("events", "#", "events.log"),
    }


def test_a_service_may_publish_its_own_events_and_its_commands_alone(shop: Definitions) -> None:
    waiter = only(shop["topic_permissions"], user="waiter", exchange="commands")
    baker = only(shop["topic_permissions"], user="baker", exchange="commands")
    events = only(shop["topic_permissions"], user="baker", exchange="events")

    assert re.match(waiter["write"], "baker.Bake")
    assert not re.match(waiter["write"], "baker.BakeAll")
    assert not re.match(baker["write"], "baker.Bake")
    assert re.match(events["write"], "baker.Baked")
    assert not re.match(events["write"], "waiter.Served")


def test_a_service_may_use_its_own_queues_alone(shop: Definitions) -> None:
    allowed = only(shop["permissions"], user="baker")

    for name in ("svc.baker", "svc.baker.retry.1", "svc.baker.dead", "svc.baker.progress.7"):
        assert re.match(allowed["configure"], name)
    for name in ("svc.waiter", "svc.bakery", "events", "events.log"):
        assert not re.match(allowed["configure"], name)
    # A replay reads the log of events; a service may neither declare it nor write to it.
    assert re.match(allowed["read"], "events.log")
    assert not re.match(allowed["write"], "events.log")


def test_a_redrive_reaches_the_queue_of_its_service_alone(shop: Definitions) -> None:
    bindings = [row for row in shop["bindings"] if row["source"] == "svc.baker.retry"]
    assert [row["destination"] for row in bindings if row["routing_key"] == "work"] == ["svc.baker"]
    for user in ("baker", "waiter"):
        allowed = only(shop["permissions"], user=user)
        assert bool(re.match(allowed["write"], "svc.baker.retry")) == (user == "baker")


def test_work_queues_never_drop_messages_and_retries_return_to_them(shop: Definitions) -> None:
    work = only(shop["policies"], name="svc.baker")
    retry = only(shop["policies"], name="svc.baker.retry")

    assert re.match(work["pattern"], "svc.baker")
    assert not re.match(work["pattern"], "svc.baker.retry.1")
    assert re.match(retry["pattern"], "svc.baker.retry.4")
    assert not re.match(retry["pattern"], "svc.baker.dead")
    assert work["definition"]["dead-letter-exchange"] == "svc.baker.retry"
    assert retry["definition"]["dead-letter-routing-key"] == "svc.baker"
    for policy in (work, retry):
        assert policy["definition"]["dead-letter-strategy"] == "at-least-once"
        assert policy["definition"]["overflow"] == "reject-publish"
        assert "max-length" not in policy["definition"]


def test_lost_connections_never_exhaust_the_delivery_limit(shop: Definitions) -> None:
    """RabbitMQ 4 drops or dead-letters after 20 deliveries unless a policy sets a limit."""
    for name in ("svc.baker", "svc.baker.dead"):
        policy = only(shop["policies"], name=name)
        assert re.match(policy["pattern"], name)
        assert policy["definition"]["delivery-limit"] >= 10**9


def test_a_file_is_outdated_when_its_text_differs(
    bakery: Any, shop: Definitions, tmp_path: Path
) -> None:
    bakery.write(tmp_path)

    assert topology.outdated(tmp_path, {TRACKED: topology.as_text(shop)}) == []
    assert json.loads((tmp_path / TRACKED).read_text()) == shop
    other = topology.as_text(topology.definitions({"baker": []}, []))
    assert topology.outdated(tmp_path, {TRACKED: other}) == [TRACKED]
    assert topology.outdated(tmp_path, {Path("missing"): ""}) == [Path("missing")]


def test_the_tracked_files_are_up_to_date() -> None:
    assert topology.outdated(ROOT, topology.files(repository.services(ROOT))) == []


def test_the_tracked_definitions_contain_no_user_and_no_password() -> None:
    tracked = json.loads((ROOT / TRACKED).read_text())

    assert "users" not in tracked
    assert "password" not in json.dumps(tracked)
