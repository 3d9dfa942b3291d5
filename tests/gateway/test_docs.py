"""The API reference: one document over all services, and a page that shows it without any other host."""

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import APIRouter, Depends, FastAPI
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from .conftest import GATEWAY, answers
from .upstream import listening, until


class Money(BaseModel):
    """The same in every service."""

    amount: int
    currency: str


def orders() -> FastAPI:
    class Line(BaseModel):
        sku: str
        price: Money

    class Order(BaseModel):
        lines: list[Line]

    app = FastAPI(title="Cartwright orders", version="1")
    public = APIRouter(prefix="/v1/orders", tags=["orders"], dependencies=[Depends(HTTPBearer())])

    @public.get("/{order_id}", operation_id="read_one")
    async def read_one(order_id: str) -> Order:
        raise NotImplementedError

    class Audit(BaseModel):
        checked: int

    @app.post("/internal/reconcile", operation_id="reconcile")
    async def reconcile() -> Audit:
        raise NotImplementedError

    app.include_router(public)
    return app


def cart() -> FastAPI:
    class Line(BaseModel):
        variant_id: int
        price: Money

    class Cart(BaseModel):
        lines: list[Line]

    app = FastAPI(title="Cartwright cart", version="1")

    @app.get("/v1/admin/carts/{cart_id}", tags=["admin_items"])
    async def look_at_one(cart_id: str) -> Cart:
        raise NotImplementedError

    @app.get("/v1/carts/{cart_id}", operation_id="read_one", tags=["items"])
    async def read_one(cart_id: str) -> Cart:
        raise NotImplementedError

    return app


@contextmanager
def serving(app: FastAPI, sock: socket.socket) -> Iterator[None]:
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, args=[[sock]], daemon=True)
    thread.start()
    until(lambda: server.started)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def docs_server(settings: dict[str, Any], folder: Path) -> Iterator[httpx.Client]:
    with listening() as sock:
        port = sock.getsockname()[1]
    (folder / "settings.json").write_text(json.dumps(settings))
    arguments = ["--port", str(port), "--env", str(folder / "settings.json")]
    process = subprocess.Popen([sys.executable, str(GATEWAY / "docs_server.py"), *arguments])
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/readyz"))
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            yield client
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    for_orders, for_cart = listening(), listening()
    services = {"cart": for_cart.getsockname()[1], "orders": for_orders.getsockname()[1]}
    with (
        serving(orders(), for_orders),
        serving(cart(), for_cart),
        docs_server({"services": services}, tmp_path_factory.mktemp("docs")) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def whole(docs: httpx.Client) -> dict[str, Any]:
    document: dict[str, Any] = docs.get("/docs/openapi.json").json()
    return document


def test_the_whole_holds_every_public_path_and_no_other(whole: dict[str, Any]) -> None:
    assert set(whole["paths"]) == {
        "/v1/admin/carts/{cart_id}", "/v1/carts/{cart_id}", "/v1/orders/{order_id}",
    }  # fmt: skip


def test_operations_have_distinct_names_grouped_by_service(whole: dict[str, Any]) -> None:
    in_cart = whole["paths"]["/v1/carts/{cart_id}"]["get"]
    in_orders = whole["paths"]["/v1/orders/{order_id}"]["get"]
    assert (in_cart["operationId"], in_orders["operationId"]) == ("read_one", "orders_read_one")
    assert (in_cart["tags"], in_orders["tags"]) == (["items"], ["orders"])
    assert whole["tags"] == [
        {"name": "items", "description": "Served by cart."},
        {"name": "orders", "description": "Served by orders."},
        {"name": "admin_items", "description": "Served by cart."},
    ]


def test_equal_schemas_are_shared_and_others_have_distinct_names(
    whole: dict[str, Any],
) -> None:
    schemas = whole["components"]["schemas"]
    assert "Money" in schemas
    assert "Line" not in schemas
    assert set(schemas["CartLine"]["properties"]) == {"variant_id", "price"}
    assert set(schemas["OrdersLine"]["properties"]) == {"sku", "price"}
    lines = schemas["Order"]["properties"]["lines"]["items"]
    assert lines == {"$ref": "#/components/schemas/OrdersLine"}


def test_what_only_internal_paths_use_is_left_out(whole: dict[str, Any]) -> None:
    assert "Audit" not in whole["components"]["schemas"]


def test_the_gateways_own_refusals_are_declared(whole: dict[str, Any]) -> None:
    answers = whole["paths"]["/v1/carts/{cart_id}"]["get"]["responses"]
    assert {"401", "429", "503", "504"} <= set(answers)
    assert set(answers["429"]["content"]["application/problem+json"]["examples"]) == {
        "rate_limited"
    }
    assert whole["components"]["examples"]["rate_limited"]["value"]["status"] == 429


def test_every_reference_leads_somewhere(whole: dict[str, Any]) -> None:
    references = set(re.findall(r'"\$ref": "#/components/(\w+)/(\w+)"', json.dumps(whole)))
    assert ("schemas", "OrdersLine") in references
    for section, name in references:
        assert name in whole["components"][section]


def test_the_merged_document_declares_which_operations_take_a_token(whole: dict[str, Any]) -> None:
    needed = whole["paths"]["/v1/orders/{order_id}"]["get"]["security"]
    assert [list(requirement) for requirement in needed] == [["HTTPBearer"]]
    for scheme in whole["components"]["securitySchemes"].values():
        assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert whole["servers"] == [{"url": "/"}]


def test_each_service_has_a_document_of_its_own(docs: httpx.Client) -> None:
    document = docs.get("/docs/openapi/orders.json").json()
    assert document["info"]["title"] == "Cartwright orders"
    assert list(document["paths"]) == ["/v1/orders/{order_id}"]


def test_an_unknown_service_has_no_document(docs: httpx.Client) -> None:
    answer = docs.get("/docs/openapi/postgres.json")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert docs.get("/docs/assets/..%2fdocs_server.py").status_code == 404
    assert docs.get("/docs/assets/nothing.js").status_code == 404


def test_a_service_that_was_away_appears_once_it_is_back(tmp_path: Path) -> None:
    late, early = listening(), listening()
    services = {"orders": late.getsockname()[1], "cart": early.getsockname()[1]}
    with serving(cart(), early), docs_server({"services": services}, tmp_path) as client:
        whole = client.get("/docs/openapi.json").json()
        assert not [path for path in whole["paths"] if "orders" in path]
        assert "Not reachable at the moment: orders." in whole["info"]["description"]
        assert client.get("/docs/openapi/orders.json").status_code == 503
        with serving(orders(), late):
            until(is_found(client, "/docs/openapi/orders.json"))
        whole = client.get("/docs/openapi.json").json()
    assert set(whole["paths"]) == {
        "/v1/admin/carts/{cart_id}", "/v1/carts/{cart_id}", "/v1/orders/{order_id}",
    }  # fmt: skip
    assert "Not reachable" not in whole["info"]["description"]


def is_found(client: httpx.Client, path: str) -> Callable[[], bool]:
    return lambda: client.get(path).status_code == 200


def test_the_page_offers_every_service(docs: httpx.Client) -> None:
    page = docs.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert re.findall(r'<option value="(\w*)">', page.text) == ["", "cart", "orders"]


def test_the_catalogue_shows_every_message(docs: httpx.Client) -> None:
    document = docs.get("/docs/asyncapi.json").json()
    page = docs.get("/docs/events").text
    shown = re.findall(r'<article id="([^"]+)"', page)
    assert sorted(shown) == sorted(document["components"]["messages"])
    placed = page.partition('<article id="orders.OrderPlaced.v1"')[2].partition("</article>")[0]
    assert "from <b>orders</b> · to <b>other systems</b>" in placed
    assert "A customer placed the order; stock and payment are not confirmed yet." in placed
    assert "list of OrderedLine" in placed
    assert "2026-000042" in placed
    assert "<code>after</code> is the last" in page
    assert "<!--" not in page


@pytest.mark.parametrize("path", ["/docs", "/docs/events"])
def test_the_page_needs_no_other_host(docs: httpx.Client, path: str) -> None:
    page = docs.get(path)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    wanted = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert all(address.startswith(("/docs", "#")) for address in wanted)
    for address in (address for address in wanted if address.startswith("/")):
        assert docs.get(address).status_code == 200
    assert "<style" not in page.text
    assert "<script>" not in page.text
