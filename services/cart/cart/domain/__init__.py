"""What carts are, what may be put into them, and what they cost; nothing here does I/O."""

from chassis.model import Model, own_metadata


class Base(Model):
    """The cart service's own tables."""

    __abstract__ = True
    metadata = own_metadata()
