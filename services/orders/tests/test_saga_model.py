"""The saga among neighbours of a pure model, over a network that repeats, reorders, delays, loses."""

import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from saga_participants import PAYS, Whims, World
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
    """One order; whatever the network does, everything is settled once it is quiet again.

    under_way: messages sent and not arrived. unasked: those of them that answer no command.
    """

    order: Checkout
    world: World
    under_way: list[Message] = field(default_factory=list)
    unasked: list[Message] = field(default_factory=list)
    said: list[type] = field(default_factory=list)

    def begin(self) -> None:
        """Place the order."""
        self._send(engine.start(self.order, NOW, DEADLINES).sent)

    def _send(self, messages: list[Message]) -> None:
        self.said += [type(each) for each in messages]
        self.under_way += [each for each in messages if isinstance(each, Command)]
        assert self.said.count(OrderConfirmed) <= 1
        assert self.said.count(OrderCancelled) <= 1

    def apply(self, heard: Any) -> None:
        """Let the saga hear a message or a trigger."""
        self._send(engine.apply(self.order, heard, NOW, DEADLINES).sent)

    def arrive(self, message: Message) -> None:
        """Bring a message to whom it is for."""
        if isinstance(message, Command):
            self.under_way += self.world.obey(message)
        else:
            self.apply(message)

    def customer_pays(self) -> None:
        """The customer or the bank acts; of that payments tells until it is heard."""
        told = self.world.customer_pays()
        self.unasked += told
        self.under_way += told

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
            # Whoever asked must ask again.
            if some not in self.unasked:
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
        """Nothing is held for an order without a sale, and a sale has everything."""
        order, world = self.order, self.world
        kept = world.captured - world.refunded
        if order.stage is Stage.CANCELLED:
            assert order.status is Status.CANCELLED
            assert world.stock != "held"
            assert world.coupon != "held"
            assert kept == order.unrefunded_amount == 0
        else:
            assert order.status is Status.CONFIRMED
            assert world.stock == "held"
            assert kept == order.total_amount or world.money == "authorized"
        assert world.refunded <= world.captured


stories = given(
    st.builds(
        Whims,
        has_stock=st.sampled_from([True, True, True, False]),
        coupon_works=st.booleans(),
        pays=st.sampled_from(PAYS),
        pays_at_the_last_moment=st.booleans(),
        refund_fails_once=st.booleans(),
        can_ship=st.sampled_from([True, True, True, False]),
    ),
    st.booleans(),
    st.sampled_from([0, 2500, 2500]),
    st.randoms(use_true_random=True),
)


def it_is_settled(whims: Whims, coupon: bool, total: int, chance: random.Random) -> None:  # noqa: FBT001  (hypothesis passes by position)
    """Play one order to its end, and then let late money come."""
    order = an_order(coupon=coupon, total_amount=total)
    story = Story(order, World(order, whims))
    story.begin()
    for _ in range(STEPS):
        story.step(chance)
    story.come_to_rest()
    story.is_settled()
    # A bank may send the money long after everything is over.
    story.customer_pays()
    story.come_to_rest()
    story.is_settled()


test_whatever_the_network_does_everything_is_settled = settings(max_examples=400, deadline=None)(
    stories(it_is_settled)
)


@pytest.mark.parametrize(
    ("stage", "heard"),
    [
        pytest.param(Stage.CANCELLED, PaymentCaptured, id="late money is forgotten"),
        pytest.param(Stage.AWAITING_CUSTOMER, CancelRequested, id="no word from payments awaited"),
        pytest.param(Stage.RECALLING, ShipmentsCancelled, id="a recall is never heard"),
    ],
)
def test_a_table_with_a_hole_is_found_out(
    stage: Stage, heard: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    holed = dict(MOVES)
    if heard is CancelRequested:
        # Releasing at once, as if a payment under way could not succeed any more, and deaf to it.
        holed[stage, heard] = (Move(Stage.RELEASING, steps.release),)
        del holed[Stage.RELEASING, PaymentCaptured]
    else:
        del holed[stage, heard]
    monkeypatch.setattr(engine, "MOVES", holed)
    searching = settings(max_examples=3000, deadline=None, phases=[Phase.generate])
    with pytest.raises(AssertionError):
        searching(stories(it_is_settled))()
