"""Read requests under load: the product list, and single products by id."""

import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from bench.buyers import for_seconds
from bench.client import Connection
from bench.figures import Sample
from bench.stocking import Shop

OK = "200"
PAGE = 20


async def product_list(shop: Shop, connections: int, seconds: float) -> dict[str, Any]:
    """The first page of twenty products."""
    path = f"/v1/products?limit={PAGE}"
    return await reading(shop.target.url, connections, seconds, lambda: path)


async def product_by_id(shop: Shop, connections: int, seconds: float) -> dict[str, Any]:
    """A random product by its id."""
    choice = random.Random(connections)  # noqa: S311
    return await reading(
        shop.target.url,
        connections,
        seconds,
        lambda: f"/v1/products/{choice.choice(shop.products).id}",
    )


async def reading(
    url: str, connections: int, seconds: float, choose: Callable[[], str]
) -> dict[str, Any]:
    """GET repeatedly on each connection; every response must be a 200."""

    def client(connection: Connection) -> Callable[[], Awaitable[Sample]]:
        async def get() -> Sample:
            began = time.perf_counter()
            try:
                outcome = str((await connection.request("GET", choose())).status)
            except OSError as fault:
                outcome = type(fault).__name__
            ended = time.perf_counter()
            return Sample(ended, (ended - began) * 1000, outcome)

        return get

    clients = [client(Connection(url)) for _ in range(connections)]
    await for_seconds(min(1.0, seconds), clients)
    series = await for_seconds(seconds, clients)
    return {
        "connections": connections,
        "requests_per_s": round(series.rate(OK), 1),
        **series.percentiles(OK, 50, 99),
        "errors": series.others(OK),
    }
