"""Rules over users, sessions, customers, addresses, roles and credentials."""

from chassis.model import Model, own_metadata


class Base(Model):
    """Identity's own tables."""

    __abstract__ = True
    metadata = own_metadata()
