"""The tree of categories as customers see it."""

import hashlib
from collections.abc import Sequence
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import TypeAdapter

from catalog.api.reading import MAY_BE_KNOWN, IfNoneMatch, unless_known
from catalog.domain import Category
from catalog.domain.refusals import CategoryNotFound
from catalog.store import categories as store
from chassis.db import Tx
from chassis.wire import View

router = APIRouter(prefix="/v1/categories")


class CategoryNode(View):
    """A category and what stands below it."""

    id: UUID
    parent_id: UUID | None
    name: str
    slug: str
    description: str
    depth: int
    children: "list[CategoryNode]"


class CategoryTree(View):
    """The categories at the top, each with those below it."""

    items: list[CategoryNode]


TREE = TypeAdapter(CategoryTree)


def tree_of(categories: Sequence[Category]) -> list[CategoryNode]:
    """Build the tree of active categories, given in the order of their depth."""
    nodes: dict[UUID, CategoryNode] = {}
    top: list[CategoryNode] = []
    for category in categories:
        above = nodes.get(category.parent_id) if category.parent_id else None
        if not category.is_active or (category.parent_id and above is None):
            continue
        node = CategoryNode(
            id=category.id,
            parent_id=category.parent_id,
            name=category.name,
            slug=category.slug,
            description=category.description,
            depth=category.depth,
            children=[],
        )
        nodes[category.id] = node
        (above.children if above else top).append(node)
    return top


@router.get("", response_model=CategoryTree, responses=MAY_BE_KNOWN)
async def list_categories(tx: Tx, known: IfNoneMatch = None) -> Response:
    """All active categories as a tree."""
    body = TREE.dump_json(CategoryTree(items=tree_of(await store.list_categories(tx))))
    return unless_known(body, hashlib.blake2b(body, digest_size=12).hexdigest(), known)


@router.get("/{id_or_slug}")
async def get_category(id_or_slug: str, tx: Tx) -> CategoryNode:
    """One category by id or slug, with what stands below it."""
    waiting = tree_of(await store.list_categories(tx))
    while waiting:
        node = waiting.pop()
        if id_or_slug in (str(node.id), node.slug):
            return node
        waiting += node.children
    raise CategoryNotFound
