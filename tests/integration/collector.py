"""A collector of traces: takes OTLP over HTTP on a port, and reports what is wrong with a trace.

Run as a program it listens on every address, and shows what it took.
"""

import gzip
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import uvicorn
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

# OTLP over HTTP, https://opentelemetry.io/docs/specs/otlp
PORT = 4318


@dataclass(frozen=True)
class Seen:
    """A span as it arrived; ids in hex, `parent` empty for the first of its trace."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    links: tuple[str, ...]
    attributes: dict[str, Any] = field(hash=False)


@dataclass
class Collector:
    """Every span that arrived so far."""

    spans: list[Seen] = field(default_factory=list)

    def take(self, body: bytes) -> None:
        """Read a request; raises DecodeError when it is none."""
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            attributes = {
                each.key: each.value.string_value for each in resource.resource.attributes
            }
            for scope in resource.scope_spans:
                self.spans += [_seen(attributes["service.name"], span) for span in scope.spans]

    def of_trace(self, trace: str) -> list[Seen]:
        """The spans of one trace."""
        return [span for span in self.spans if span.trace == trace]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as a collector does, and a GET with every span."""
        if scope["method"] == "GET":
            await JSONResponse([asdict(span) for span in self.spans])(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if dict(scope["headers"]).get(b"content-encoding") == b"gzip":
            body = gzip.decompress(body)
        self.take(body)
        await Response(media_type="application/x-protobuf")(scope, receive, send)


def _seen(service: str, span: Any) -> Seen:
    values = {each.key: each.value for each in span.attributes}
    attributes = {key: getattr(value, value.WhichOneof("value")) for key, value in values.items()}
    links = tuple(link.span_id.hex() for link in span.links)
    return Seen(
        service, span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(),
        links, attributes,
    )  # fmt: skip


def _served(collector: Collector, host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        collector, host, port, log_level="error", lifespan="off", ws="none", access_log=False
    )


@contextmanager
def collecting(port: int) -> Iterator[Collector]:
    """A collector on a port of the loopback address."""
    collector = Collector()
    server = uvicorn.Server(_served(collector, "127.0.0.1", port))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.should_exit = True
        thread.join(30)


def faults(spans: Sequence[Seen], root: str, expected: dict[str, set[str]]) -> list[str]:
    """What is wrong with a trace that `root`, an id, began: loose ends, and steps that are absent.

    expected: by service, the names of spans it must have.
    """
    known = {root, *(span.id for span in spans)}
    loose = [
        f"{span.service} does not know what made it `{span.name}`"
        for span in spans
        if span.parent not in known
    ]
    found = {(span.service, span.name) for span in spans}
    absent = [
        f"{service} has no span `{name}`"
        for service, names in expected.items()
        for name in sorted(names)
        if (service, name) not in found
    ]
    return sorted({*loose, *absent})


if __name__ == "__main__":
    uvicorn.Server(_served(Collector(), "0.0.0.0", PORT)).run()
