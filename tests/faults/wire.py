"""A TCP proxy that fails as networks do: silent both ways or one way, slow, or cut off."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

CHUNK = 65536


@dataclass
class Wire:
    """One listening port that leads to another; safe to steer from any thread.

    A held direction carries nothing, though both ends believe themselves connected: what is sent
    waits, as it does when packets are lost and sent again. `delay` is seconds in each direction.
    """

    to_port: int
    port: int = 0
    delay: float = 0.0
    is_cut: bool = False
    _there: asyncio.Event = field(default_factory=asyncio.Event)
    _back: asyncio.Event = field(default_factory=asyncio.Event)
    _links: set[asyncio.Task[None]] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def black_hole(self) -> None:
        """Carry nothing in either direction."""
        self._do(self._hold(self._there, self._back))

    def one_way(self) -> None:
        """Carry what the server sends, and drop what is sent to it."""
        self._do(self._hold(self._there))

    def cut(self) -> None:
        """End every connection and refuse new ones."""
        self._do(self._cut())

    def heal(self) -> None:
        """Carry everything again, at once."""
        self._do(self._heal())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _hold(self, *directions: asyncio.Event) -> None:
        for direction in directions:
            direction.clear()

    async def _cut(self) -> None:
        self.is_cut = True
        for writer in list(self._writers):
            writer.transport.abort()

    async def _heal(self) -> None:
        self.is_cut, self.delay = False, 0.0
        self._there.set()
        self._back.set()

    async def _serve(self) -> asyncio.Server:
        await self._heal()
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _accept(self, near: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            answer.transport.abort()
            return
        try:
            far, ask = await asyncio.open_connection("127.0.0.1", self.to_port)
        except OSError:
            answer.transport.abort()
            return
        self._writers |= {answer, ask}
        both = [
            asyncio.create_task(self._carry(near, ask, self._there)),
            asyncio.create_task(self._carry(far, answer, self._back)),
        ]
        self._links.update(both)
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in both:
            task.cancel()
            self._links.discard(task)
        for writer in (answer, ask):
            self._writers.discard(writer)
            writer.close()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_open: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await is_open.wait()
                writer.write(chunk)
                await writer.drain()


@contextmanager
def wires(*to_ports: int) -> Iterator[list[Wire]]:
    """Proxies to these ports of the loopback address, in a thread of their own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    made = [Wire(port, _loop=loop) for port in to_ports]
    servers = [asyncio.run_coroutine_threadsafe(wire._serve(), loop).result(10) for wire in made]
    try:
        yield made
    finally:
        for wire, server in zip(made, servers, strict=True):
            loop.call_soon_threadsafe(server.close)
            wire.cut()
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
