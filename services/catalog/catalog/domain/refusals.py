"""What the catalogue refuses, and by which code a client knows it."""

from chassis.errors import Invalid, NotFound, Refused


class CategoryNotFound(NotFound):
    """There is no such category."""

    code = "category_unknown"


class ProductNotFound(NotFound):
    """There is no such product."""

    code = "product_unknown"


class VariantNotFound(NotFound):
    """The product has no such variant."""

    code = "variant_unknown"


class ImageNotFound(NotFound):
    """The product has no such image."""

    code = "image_unknown"


class UnknownCategory(Invalid):
    """The category named does not exist."""

    code = "unknown_category"


class CategoryCycle(Refused):
    """A category cannot stand below itself."""

    code = "category_cycle"


class CategoryTooDeep(Refused):
    """Categories stand at most three deep."""

    code = "category_too_deep"


class CategoryInUse(Refused):
    """The category still has categories or products in it."""

    code = "category_in_use"


class CategoryNameTaken(Refused):
    """Another category has this name."""

    code = "category_name_taken"


class SlugTaken(Refused):
    """Another category or product has this slug."""

    code = "slug_taken"


class DuplicateSku(Refused):
    """Another variant has this SKU, or had it."""

    code = "duplicate_sku"


class DuplicateOptions(Refused):
    """Another variant of the product has these options."""

    code = "duplicate_options"


class OptionsMissing(Refused):
    """Each of several variants needs options to tell it from the others."""

    code = "options_missing"


class LastVariant(Refused):
    """A product keeps at least one variant."""

    code = "last_variant"


class TooMany(Refused):
    """The product has as many of these as a product may have."""

    code = "too_many"


class PriceTooLow(Refused):
    """Every price a customer can pay is at least one minor unit."""

    code = "price_too_low"


class DiscountNotLower(Refused):
    """A discount price lies below the price, and its window ends after it begins."""

    code = "discount_invalid"


class CurrencyMismatch(Refused):
    """All prices of a product are in its currency."""

    code = "currency_mismatch"


class NotCustomizable(Invalid):
    """Only customizable products have customization fields."""

    code = "not_customizable"


class NotADraftAgain(Refused):
    """A product that was on sale cannot become a draft again; make it inactive."""

    code = "product_not_draft"
