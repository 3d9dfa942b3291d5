"""An external system: a price list built from Cartwright's events, which can start cold.

It shares nothing with the shop but the contracts and the subscriber kit: a database of its own, a
broker user of its own. Its README shows how to run it.
"""

import argparse
import asyncio
import os
import signal
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from contracts.catalog import ProductChanged, ProductSnapshot
from contracts.inventory import StockChanged, StockSnapshot
from subscriber import Delivery, Feed, Log, Subscriber
from subscriber.inbox import SequencedInbox

SYSTEM = "pricelist"


class Base(DeclarativeBase):
    """The price list's tables."""


class Price(Base):
    """What one variant costs, in minor units, and whether its product is on sale."""

    __tablename__ = "prices"
    variant_id: Mapped[str] = mapped_column(primary_key=True)
    product_id: Mapped[str] = mapped_column(index=True)
    sku: Mapped[str]
    name: Mapped[str]
    currency: Mapped[str]
    amount: Mapped[int]
    on_sale: Mapped[bool]


class Stock(Base):
    """Pieces of one variant that can be promised; may be known before its price is."""

    __tablename__ = "stock"
    variant_id: Mapped[str] = mapped_column(primary_key=True)
    available: Mapped[int]


Line = tuple[str, str, str, int, bool, int]


async def lines(engine: AsyncEngine) -> Sequence[Line]:
    """The price list: sku, name, currency, amount, on sale, pieces available."""
    query = (
        select(Price.sku, Price.name, Price.currency, Price.amount, Price.on_sale, Stock.available)
        .join_from(Price, Stock, Stock.variant_id == Price.variant_id, isouter=True)
        .order_by(Price.sku)
    )
    async with engine.connect() as connection:
        return [(*row[:5], row[5] or 0) for row in await connection.execute(query)]


async def keep_prices(event: ProductChanged | ProductSnapshot, delivery: Delivery) -> None:
    """Replace a product's prices by those it has now."""
    tx: AsyncSession = delivery.tx
    await tx.execute(delete(Price).where(Price.product_id == str(event.product_id)))
    tx.add_all(
        Price(
            variant_id=str(variant.variant_id),
            product_id=str(event.product_id),
            sku=variant.sku,
            name=event.name,
            currency=event.currency,
            amount=variant.price.price_amount,
            on_sale=event.status == "active" and variant.is_available,
        )
        for variant in event.variants
    )


async def keep_stock(event: StockChanged | StockSnapshot, delivery: Delivery) -> None:
    """Remember how many pieces are left."""
    await delivery.tx.merge(Stock(variant_id=str(event.variant_id), available=event.available))


async def compose(engine: AsyncEngine, url: str, history: Feed | Log | None) -> Subscriber:
    """The subscriber over this database; its tables are made where they are missing."""
    inbox = SequencedInbox(engine)
    await inbox.create_tables()
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    prices = Subscriber(SYSTEM, url, inbox, history=history, retry_tiers=(1, 5, 30))
    prices.handles(ProductChanged, ProductSnapshot)(keep_prices)
    prices.handles(StockChanged, StockSnapshot)(keep_stock)
    return prices


async def run(settings: Any) -> None:
    """Start cold, then follow, until SIGTERM or Ctrl-C.

    With the feed, it requests the present state; without it the log is read from its
    beginning.
    """
    engine = create_async_engine(settings.database)
    feed = Feed(settings.feed, settings.feed_token) if settings.feed else None
    prices = await compose(engine, settings.amqp, feed or Log(settings.amqp))
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    await (prices.bootstrap(stop, feed) if feed else prices.rebuild(stop))
    await engine.dispose()


async def show(settings: Any) -> None:
    """Print the price list."""
    engine = create_async_engine(settings.database)
    for sku, name, currency, amount, on_sale, available in await lines(engine):
        print(f"{sku:<20} {name:<30} {amount:>10} {currency} {available:>6} {on_sale}")
    await engine.dispose()


def main() -> None:
    """The command line; settings come from the environment, since most of them are secret."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["run", "show"])
    command = parser.parse_args().command
    settings = SimpleNamespace(
        amqp=os.environ.get("CARTWRIGHT_AMQP_URL"),
        # The gateway, to fill gaps from its feed instead of the log.
        feed=os.environ.get("CARTWRIGHT_URL"),
        feed_token=os.environ.get("CARTWRIGHT_FEED_TOKEN", ""),
        database=os.environ.get("PRICELIST_DATABASE_URL"),
    )
    if not settings.database or (command == "run" and not settings.amqp):
        parser.error("set PRICELIST_DATABASE_URL, and CARTWRIGHT_AMQP_URL to run")
    asyncio.run(run(settings) if command == "run" else show(settings))


if __name__ == "__main__":
    main()
