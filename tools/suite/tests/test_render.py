"""Files rendered from services.toml: current, complete, and never of a wrong list."""

import shutil
from pathlib import Path

import pytest

from suite import render, service_list, topology
from suite.refusals import Refusal
from suite.repository import ROOT


def tree_with(root: Path, services: str) -> Path:
    """A tree with everything that is rendered, and this list of services."""
    for file in (*render.WITH_PLACES, render.MANIFEST):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, root / file)
    (root / service_list.FILE).write_text(services)
    return root


def test_what_is_rendered_is_up_to_date() -> None:
    assert topology.outdated(ROOT, render.files(ROOT)) == []
    assert render.left_over(ROOT) == []


def test_the_list_names_every_folder_of_a_service() -> None:
    folders = {file.parent.name for file in (ROOT / "services").glob("*/pyproject.toml")}
    assert set(service_list.load(ROOT)) == folders


def test_a_service_of_the_list_enters_every_file(tmp_path: Path) -> None:
    tree = tree_with(tmp_path, "[services.bakery]\n[services.waiter]\ncalls = ['bakery']\n")
    contract = tree / "libs/contracts/contracts/bakery.py"
    contract.touch()
    files = render.files(tree)
    assert [file for file, text in files.items() if "bakery" not in text] == []
    waiter = files[render.MANIFEST.parent / "waiter/kustomization.yaml"]
    assert "- BAKERY_URL=http://bakery:8080\n" in waiter
    assert not any("promotions" in text for text in files.values())


def test_the_manifests_of_a_service_that_left_the_list_are_left_over(tmp_path: Path) -> None:
    tree = tree_with(tmp_path, "[services.bakery]\n")
    for name in ("bakery", "closed"):
        (tree / render.MANIFEST.parent / name).mkdir()
        (tree / render.MANIFEST.parent / name / "kustomization.yaml").touch()
    assert render.left_over(tree) == [render.MANIFEST.parent / "closed"]


def test_a_place_is_rendered_at_its_indent_and_the_rest_stays(tmp_path: Path) -> None:
    file = tmp_path / "list.yaml"
    head = "names:\n  # [template]\n  # {% for each in names %}\n  # - [[ each ]]:\n  #     {}\n"
    head += "  # {% endfor %}\n  # [rendered]\n"
    file.write_text(f"{head}  - old\n  # [end]\nrest: here\n")
    filled = render.fill_places(file, {"names": ["a", "b"]})
    assert filled == f"{head}  - a:\n      {{}}\n  - b:\n      {{}}\n  # [end]\nrest: here\n"


@pytest.mark.parametrize("mark", ["# [rendered]\n", "# [end]\n"])
def test_a_place_that_lacks_a_mark_is_refused(tmp_path: Path, mark: str) -> None:
    place = "# [template]\n# [[ 1 ]]\n# [rendered]\n# [end]\n"
    file = tmp_path / "list.yaml"
    file.write_text(place.replace(mark, "") + place)
    with pytest.raises(Refusal, match=r"list\.yaml: a place lacks"):
        render.fill_places(file, {})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[services.Bakery]\n", "Bakery"),
        ("[services.two_words]\n", "two_words"),
        ("[services.bakery]\nroute = []\n", "services.bakery.route"),
        ("[services.bakery]\nroutes = ['/internal/cakes']\n", "services.bakery.routes.0"),
        ("[services.bakery]\ncalls = ['waiter']\n", "bakery calls waiter, not a service"),
        (
            "[services.bakery]\nroutes = ['/v1/cakes']\n[services.waiter]\nroutes = ['/v1/cakes']\n",
            "/v1/cakes belongs to both bakery and waiter",
        ),
        ("[services.bakery]\n[packs]\nshop = ['waiter']\n", "pack shop holds waiter"),
        ("[services.bakery\n", "services.toml"),
        ("[service.bakery]\n", "service: Extra inputs"),
    ],
)
def test_a_wrong_list_is_refused_with_its_reason(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / service_list.FILE).write_text(text)
    with pytest.raises(Refusal, match=reason.replace(".", r"\.")):
        service_list.load(tmp_path)
