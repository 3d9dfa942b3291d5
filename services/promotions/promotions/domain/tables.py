"""The metadata that promotions' tables stand in."""

from chassis.model import Model, own_metadata


class Base(Model):
    """Promotions' own tables."""

    __abstract__ = True
    metadata = own_metadata()
