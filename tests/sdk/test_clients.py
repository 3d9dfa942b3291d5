"""The client libraries: generated without a warning, built, and strict about what they are given."""

import tarfile
import zipfile
from pathlib import Path

import pytest

from suite.sdk import Sdk, SdkFailed

ROOT = Path(__file__).resolve().parents[2]


def test_the_python_client_has_its_own_types(clients: Sdk) -> None:
    clients.check_python()


def test_a_wrong_argument_is_seen_by_mypy(clients: Sdk, tmp_path: Path) -> None:
    right = (
        "from cartwright_client import Client\n"
        "from cartwright_client.api.products import products_get\n"
        "products_get.sync('tea', client=Client(base_url='http://shop'))\n"
    )
    file = tmp_path / "calls.py"
    file.write_text(right)
    clients.check_python(file)
    file.write_text(right.replace("'tea'", "7"))
    with pytest.raises(SdkFailed, match="arg-type"):
        clients.check_python(file)


def test_a_wrong_argument_is_seen_by_the_typescript_compiler(clients: Sdk, tmp_path: Path) -> None:
    right = (
        'import { cartwright } from "@cartwright/client";\n'
        'const shop = cartwright({ baseUrl: "http://shop" });\n'
        'await shop.POST("/v1/carts", { body: { items: [] } });\n'
    )
    sound, invalid = tmp_path / "sound.mts", tmp_path / "invalid.mts"
    sound.write_text(right)
    invalid.write_text(right.replace("items: []", 'items: "none"'))
    with pytest.raises(SdkFailed, match=r"invalid\.mts.*TS2322") as failure:
        clients.check_typescript(sound, invalid)
    assert "sound.mts" not in str(failure.value)


def test_the_packages_hold_the_clients_with_their_types(clients: Sdk) -> None:
    (wheel,) = (ROOT / "sdk/dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {
        "cartwright_client/py.typed",
        "cartwright_client/api/orders/orders_place.py",
        "cartwright_client/models/problem.py",
    } <= names
    (package,) = (ROOT / "sdk/dist").glob("*.tgz")
    with tarfile.open(package) as archive:
        held = set(archive.getnames())
    files = ("index.js", "index.d.ts", "schema.d.ts")
    assert {f"package/dist/src/{name}" for name in files} <= held


def test_every_operation_is_a_module_of_the_python_client(clients: Sdk) -> None:
    index = (ROOT / "sdk/operations.txt").read_text().splitlines()
    made = {file.stem for file in (clients.python / "cartwright_client/api").glob("*/*.py")}
    assert {line.split()[0] for line in index} == made - {"__init__"}
