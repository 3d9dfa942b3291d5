"""The rules of money, one module per noun; `Base` holds the service's tables."""

from chassis.model import Model, own_metadata


class Base(Model):
    """The tables of payments."""

    __abstract__ = True
    metadata = own_metadata()
