"""Categories, as staff create, move, change and delete them."""

from typing import Annotated, ClassVar
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field
from slugify import slugify
from sqlalchemy.ext.asyncio import AsyncSession

from catalog import service
from catalog.api.admin_models import Changes, Editor, NothingToChange, OwnSlug, Place
from catalog.domain.category import (
    Category,
    CategoryCycle,
    CategoryInUse,
    CategoryNameTaken,
    CategoryNotFound,
    CategoryTooDeep,
    Relisting,
    SlugTaken,
    UnknownCategory,
)
from catalog.store import categories
from catalog.store.products import flush
from chassis import etag, outbox
from chassis.db import Tx
from chassis.errors import Invalid, refuses
from chassis.ids import new_id, utcnow
from chassis.wire import Body, Id, Name, SafeText, View

router = APIRouter(prefix="/v1/admin/categories")

# The fields of a category on which the listings below it depend.
LISTED_FIELDS = {"name", "slug", "is_active"}
Text = Annotated[SafeText, Field(max_length=2000)]


class SlugMissing(Invalid):
    """No slug can be made of this name; send one."""

    code = "slug_missing"


class CategoryBody(Body):
    """A new category; the default slug is made of the name."""

    parent_id: Id | None = None
    name: Name
    slug: OwnSlug | None = None
    description: Text = ""
    display_order: Place = 0
    is_active: bool = True


class CategoryChanges(Changes):
    """What to change of a category; `parent_id` null moves it to the top."""

    clearable: ClassVar[frozenset[str]] = frozenset({"parent_id"})

    parent_id: Id | None = None
    name: Name | None = None
    slug: OwnSlug | None = None
    description: Text | None = None
    display_order: Place | None = None
    is_active: bool | None = None


class RelistingView(View):
    """How many listings below a changed category were rebuilt, of how many."""

    done: int
    total: int


class CategoryView(View):
    """A category as staff see it; `relisting` while listings below it are still to be rebuilt."""

    id: UUID
    parent_id: UUID | None
    name: str
    slug: str
    description: str
    depth: int
    display_order: int
    is_active: bool
    version: int
    relisting: RelistingView | None = None

    @classmethod
    def of(cls, category: Category, job: Relisting | None) -> "CategoryView":
        """Show a category, and the relisting that its last change has left."""
        values = {name: getattr(category, name, None) for name in cls.model_fields}
        return cls(**values | {"relisting": job and RelistingView.model_validate(job)})


class CategoryList(View):
    """All categories, parents before children."""

    items: list[CategoryView]


async def _parent(tx: AsyncSession, parent_id: UUID | None) -> Category | None:
    if parent_id is None:
        return None
    found = await categories.find_category(tx, parent_id)
    if found is None:
        raise UnknownCategory
    return found


def _slug_of(name: str) -> str:
    made = slugify(name, max_length=160)
    if not made:
        raise SlugMissing
    return made


def _show(response: Response, category: Category, job: Relisting | None = None) -> CategoryView:
    etag.set_header(response, category.version)
    return CategoryView.of(category, job)


@router.post("", status_code=201)
@refuses(CategoryNameTaken, CategoryTooDeep, SlugMissing, SlugTaken, UnknownCategory)
async def create_category(
    body: CategoryBody, _caller: Editor, tx: Tx, response: Response
) -> CategoryView:
    """Create a category."""
    await categories.lock_tree(tx)
    category = Category(
        id=new_id(),
        version=1,
        slug=body.slug or _slug_of(body.name),
        **body.model_dump(include={"name", "description", "display_order", "is_active"}),
    )
    category.move_under(await _parent(tx, body.parent_id))
    tx.add(category)
    outbox.add(tx, category.record_change())
    await flush(tx)
    return _show(response, category)


@router.get("")
async def list_categories(_caller: Editor, tx: Tx) -> CategoryList:
    """List all categories, inactive ones too."""
    rows = await categories.list_categories(tx)
    jobs = {job.category_id: job for job in await categories.list_relistings(tx)}
    return CategoryList(items=[CategoryView.of(row, jobs.get(row.id)) for row in rows])


@router.get("/{category_id}")
@refuses(CategoryNotFound)
async def get_category(
    category_id: UUID, _caller: Editor, tx: Tx, response: Response
) -> CategoryView:
    """Return one category."""
    category = await categories.get_category(tx, category_id)
    return _show(response, category, await categories.find_relisting(tx, category_id))


@router.patch("/{category_id}")
@refuses(
    CategoryNotFound,
    CategoryCycle,
    CategoryNameTaken,
    CategoryTooDeep,
    NothingToChange,
    SlugTaken,
    UnknownCategory,
)
async def change_category(
    category_id: UUID,
    body: CategoryChanges,
    expected: etag.IfMatch,
    _caller: Editor,
    tx: Tx,
    response: Response,
) -> CategoryView:
    """Change or move a category, and rebuild the listings below it.

    The first 200 at once, the rest in the background: `relisting` shows the progress.
    """
    category = await categories.lock_category(tx, category_id)
    etag.check(category.version, expected)
    given = body.changed_fields()
    moves = "parent_id" in given and given.pop("parent_id") != category.parent_id
    # Queried before anything changes: a later query would flush a taken slug too early.
    below = await categories.list_below(tx, category) if moves else ()
    parent = await _parent(tx, body.parent_id) if moves else None
    for field, value in given.items():
        setattr(category, field, value)
    if moves:
        category.move_under(parent, below)
    category.touch()
    outbox.add(tx, category.record_change(), *(each.record_change() for each in below))
    await flush(tx)
    if not moves and not given.keys() & LISTED_FIELDS:
        return _show(response, category, await categories.find_relisting(tx, category_id))
    job = await service.start_relisting(tx, category.id, utcnow(), with_events=moves)
    return _show(response, category, job)


@router.delete("/{category_id}", status_code=204)
@refuses(CategoryNotFound, CategoryInUse)
async def delete_category(
    category_id: UUID, expected: etag.IfMatch, _caller: Editor, tx: Tx
) -> None:
    """Delete a category that has neither categories nor products."""
    category = await categories.lock_category(tx, category_id)
    etag.check(category.version, expected)
    if await categories.is_in_use(tx, category_id):
        raise CategoryInUse
    outbox.add(tx, category.record_change(is_deleted=True))
    await tx.delete(category)
