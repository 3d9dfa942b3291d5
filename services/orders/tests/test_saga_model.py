"""The saga and modelled participants on a network that repeats, reorders, delays and loses."""

import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from saga_participants import PAYS, Behaviour, FakeParticipants
from saga_play import DEADLINES, NOW, an_order

from contracts.message import Command, Message
from contracts.orders import OrderCancelled, OrderConfirmed
from contracts.payments import PaymentCaptured
from contracts.shipping import ShipmentsCancelled
from orders.domain.checkout import CancelRequested, Checkout, DeadlinePassed
from orders.domain.order import Stage, Status
from orders.saga import engine, steps
from orders.saga.table import MOVES, Move

STEPS, ROUNDS = 40, 200
ENDS = (Stage.COMPLETED, Stage.CANCELLED, Stage.NEEDS_REVIEW)


@dataclass
class Story:
    """One order; whatever the network does, everything settles once it is quiet again.

    under_way: messages sent and not arrived. unsolicited: those of them that answer no command.
    """

    order: Checkout
    participants: FakeParticipants
    under_way: list[Message] = field(default_factory=list)
    unsolicited: list[Message] = field(default_factory=list)
    sent: list[type] = field(default_factory=list)

    def begin(self) -> None:
        """Place the order."""
        self._send(engine.start(self.order, NOW, DEADLINES).sent)

    def _send(self, messages: list[Message]) -> None:
        self.sent += [type(each) for each in messages]
        self.under_way += [each for each in messages if isinstance(each, Command)]
        assert self.sent.count(OrderConfirmed) <= 1
        assert self.sent.count(OrderCancelled) <= 1

    def apply(self, trigger: Any) -> None:
        """Apply a message or a trigger."""
        self._send(engine.apply(self.order, trigger, NOW, DEADLINES).sent)

    def arrive(self, message: Message) -> None:
        """Deliver a message to its consumer."""
        if isinstance(message, Command):
            self.under_way += self.participants.handle(message)
        else:
            self.apply(message)

    def customer_pays(self) -> None:
        """The customer or the bank acts; payments repeats its event until it is applied."""
        sent = self.participants.customer_pays()
        self.unsolicited += sent
        self.under_way += sent

    def step(self, chance: random.Random) -> None:
        """Something happens: mostly a message arrives."""
        what = chance.random()
        some = chance.choice(self.under_way) if self.under_way else None
        if some is not None and what < 0.55:
            self.under_way.remove(some)
            self.arrive(some)
        elif some is not None and what < 0.7:
            self.arrive(some)
        elif some is not None and what < 0.8:
            # The message is lost: the saga repeats the command.
            if some not in self.unsolicited:
                self.under_way.remove(some)
        elif what < 0.88:
            if self.order.deadline_at is not None:
                self.apply(DeadlinePassed())
        elif what < 0.93:
            self.apply(CancelRequested("customer_request"))
        else:
            self.customer_pays()

    def come_to_rest(self) -> None:
        """The network heals: all that is under way arrives, and deadlines pass until the end."""
        for _ in range(ROUNDS):
            if self.under_way:
                self.arrive(self.under_way.pop(0))
            elif self.order.stage in ENDS:
                break
            else:
                self.apply(DeadlinePassed())
        assert self.order.stage in ENDS
        assert not self.under_way

    def is_settled(self) -> None:
        """A cancelled order holds nothing, and a confirmed one has stock and money."""
        order, participants = self.order, self.participants
        unrefunded = participants.captured - participants.refunded
        if order.stage is Stage.CANCELLED:
            assert order.status is Status.CANCELLED
            assert participants.stock != "held"
            assert participants.coupon != "held"
            assert unrefunded == order.unrefunded_amount == 0
        else:
            assert order.status is Status.CONFIRMED
            assert participants.stock == "held"
            assert unrefunded == order.total_amount or participants.money == "authorized"
        assert participants.refunded <= participants.captured


stories = given(
    st.builds(
        Behaviour,
        has_stock=st.sampled_from([True, True, True, False]),
        coupon_works=st.booleans(),
        pays=st.sampled_from(PAYS),
        pays_late=st.booleans(),
        refund_fails_once=st.booleans(),
        can_ship=st.sampled_from([True, True, True, False]),
    ),
    st.booleans(),
    st.sampled_from([0, 2500, 2500]),
    st.randoms(use_true_random=True),
)


def ends_settled(behaviour: Behaviour, coupon: bool, total: int, chance: random.Random) -> None:  # noqa: FBT001  (hypothesis passes by position)
    """Play one order to its end, and then let late money come."""
    order = an_order(coupon=coupon, total_amount=total)
    story = Story(order, FakeParticipants(order, behaviour))
    story.begin()
    for _ in range(STEPS):
        story.step(chance)
    story.come_to_rest()
    story.is_settled()
    # A bank may send the money long after everything is over.
    story.customer_pays()
    story.come_to_rest()
    story.is_settled()


test_every_checkout_settles_on_an_unreliable_network = settings(max_examples=400, deadline=None)(
    stories(ends_settled)
)


@pytest.mark.parametrize(
    ("stage", "kind"),
    [
        pytest.param(Stage.CANCELLED, PaymentCaptured, id="late money is ignored"),
        pytest.param(
            Stage.AWAITING_CUSTOMER, CancelRequested, id="the reply of payments is not awaited"
        ),
        pytest.param(Stage.RECALLING, ShipmentsCancelled, id="the reply to a recall is ignored"),
    ],
)
def test_the_model_detects_a_hole_in_the_table(
    stage: Stage, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    holed = dict(MOVES)
    if kind is CancelRequested:
        # Releases at once, as if a pending payment could not succeed any more, and ignores its success.
        holed[stage, kind] = (Move(Stage.RELEASING, steps.release),)
        del holed[Stage.RELEASING, PaymentCaptured]
    else:
        del holed[stage, kind]
    monkeypatch.setattr(engine, "MOVES", holed)
    searching = settings(max_examples=3000, deadline=None, phases=[Phase.generate])
    with pytest.raises(AssertionError):
        searching(stories(ends_settled))()
