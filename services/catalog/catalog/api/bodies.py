"""The parts that requests of catalog's staff are made of."""

from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator

from chassis.errors import Invalid
from chassis.wire import Body, MoneyBody, Price, SafeText, Slug
from contracts.money import MAX_AMOUNT, Currency


class NothingToChange(Invalid):
    """Name at least one field to change."""

    code = "nothing_to_change"


def _not_an_id(slug: str) -> str:
    """Products are found by id or slug in one place, so no slug may look like an id."""
    try:
        UUID(slug)
    except ValueError:
        return slug
    raise ValueError("a slug must not look like an id")


OwnSlug = Annotated[Slug, AfterValidator(_not_an_id)]
ProductName = Annotated[SafeText, Field(min_length=2, max_length=200)]
Description = Annotated[SafeText, Field(max_length=5000)]
Days = Annotated[int, Field(ge=0, le=365)]
Place = Annotated[int, Field(ge=0, le=100_000)]


class PriceBody(MoneyBody):
    """What a customer pays: at least one minor unit."""

    amount: Price


class AdjustmentBody(Body):
    """A difference of prices in minor units, of either sign."""

    amount: Annotated[int, Field(ge=-MAX_AMOUNT, le=MAX_AMOUNT)]
    currency: Currency


class OptionBody(Body):
    """One thing in which variants differ, such as `size` and `XL`; names hold no colon."""

    name: Annotated[SafeText, Field(min_length=1, max_length=50, pattern=r"^[^:]+$")]
    value: Annotated[SafeText, Field(min_length=1, max_length=100)]


class Changes(Body):
    """Some fields of a resource; one left out stays, null clears those that are `clearable`."""

    clearable: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="after")
    def _clears_only_what_may_be_empty(self) -> Self:
        empty = {name for name in self.model_fields_set if getattr(self, name) is None}
        if empty - self.clearable:
            raise ValueError("this field cannot be null")
        return self

    def given(self) -> dict[str, Any]:
        """The fields that were named; raises NothingToChange when there are none."""
        if not self.model_fields_set:
            raise NothingToChange
        return {name: getattr(self, name) for name in self.model_fields_set}
