"""The proxy injects the faults that its methods are named after."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, closing

import pytest
import pytest_asyncio

from wire import Wire, wires

SILENCE = 0.3


@pytest_asyncio.fixture
async def wire() -> AsyncIterator[Wire]:
    """A connection to a server that echoes everything."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while received := await reader.read(100):
            writer.write(received)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    context = wires(port)
    (made,) = await asyncio.to_thread(context.__enter__)
    yield made
    await asyncio.to_thread(context.__exit__, None, None, None)
    server.close()


class Caller:
    """One connection through the wire."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def sends(self, words: bytes) -> None:
        self.writer.write(words)
        await self.writer.drain()

    async def receives(self, count: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(count), 10)

    async def receives_nothing(self) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(self.reader.read(1), SILENCE)


Call = Callable[[], Awaitable[Caller]]


@pytest_asyncio.fixture
async def call(wire: Wire) -> AsyncIterator[Call]:
    """Opens connections through the wire, which end with the test."""
    with ExitStack() as stack:

        async def opened() -> Caller:
            reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
            stack.enter_context(closing(writer))
            return Caller(reader, writer)

        yield opened


async def test_a_whole_wire_carries_both_ways(wire: Wire, call: Call) -> None:
    caller = await call()
    await caller.sends(b"hello")
    assert await caller.receives(5) == b"hello"


@pytest.mark.parametrize("fault", [Wire.black_hole, Wire.one_way])
async def test_what_was_held_arrives_when_the_wire_is_healed(
    fault: object, wire: Wire, call: Call
) -> None:
    caller = await call()
    await asyncio.to_thread(fault, wire)  # type: ignore[arg-type]
    await caller.sends(b"hello")
    await caller.receives_nothing()
    await asyncio.to_thread(wire.heal)
    assert await caller.receives(5) == b"hello"


async def test_a_slow_connection_delivers_everything(wire: Wire, call: Call) -> None:
    caller = await call()
    wire.delay = SILENCE
    began = asyncio.get_running_loop().time()
    await caller.sends(b"hello")
    assert await caller.receives(5) == b"hello"
    assert asyncio.get_running_loop().time() - began >= 2 * SILENCE


async def test_a_cut_wire_ends_what_there_was_and_takes_nothing_new(wire: Wire, call: Call) -> None:
    caller = await call()
    await caller.sends(b"hello")
    await caller.receives(5)
    await asyncio.to_thread(wire.cut)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await caller.receives(1)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        late = await call()
        await late.receives(1)
    await asyncio.to_thread(wire.heal)
    again = await call()
    await again.sends(b"hello")
    assert await again.receives(5) == b"hello"
