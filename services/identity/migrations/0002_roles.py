"""The permissions of every service, and the five roles that are built in."""

import sqlalchemy as sa
from alembic import op

from chassis.ids import new_id

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

PERMISSIONS = {
    "catalog:write": "change products, categories and their pictures; hide reviews",
    "customers:read": "read customers and their addresses",
    "customers:write": "make customers for people without a login; change and block customers",
    "notifications:read": "read which mails were sent to whom",
    "notifications:write": "have a failed mail sent again",
    "ops:read": "read what waits, failed or was left over in every service",
    "ops:write": "replay what failed in every service",
    "orders:read": "read every order",
    "orders:refund": "refund orders",
    "orders:write": "change and cancel every order",
    "payments:read": "read every payment",
    "payments:refund": "refund payments",
    "promotions:read": "read coupons and discounts",
    "promotions:write": "change coupons and discounts",
    "roles:write": "make roles and give them to users",
    "shipping:read": "read every shipment",
    "shipping:write": "change shipments, shipping methods and providers",
    "stock:read": "read warehouses and stock",
    "stock:write": "change warehouses and stock",
    "tax:write": "change tax rates",
    "users:read": "read users and roles",
    "users:write": "pause, ban and open accounts",
}
SUPPORT = {
    "customers:read",
    "customers:write",
    "notifications:read",
    "notifications:write",
    "orders:read",
    "orders:write",
    "payments:read",
    "promotions:read",
    "shipping:read",
    "stock:read",
    "users:read",
}
STAFF = SUPPORT | {
    "catalog:write",
    "ops:read",
    "orders:refund",
    "payments:refund",
    "promotions:write",
    "shipping:write",
    "stock:write",
    "tax:write",
}
ROLES = {
    "customer": ("Buys; everybody who registers", set()),
    "seller": ("Sells in stores of their own", set()),
    "support": ("Answers customers and looks after their orders", SUPPORT),
    "staff": ("Runs the shop: products, stock, prices, shipping and refunds", STAFF),
    "admin": ("Does everything, and says who may do what", set(PERMISSIONS)),
}

permissions = sa.table("permissions", sa.column("name"), sa.column("description"))
roles = sa.table(
    "roles",
    sa.column("id", sa.Uuid()),
    sa.column("name"),
    sa.column("description"),
    sa.column("is_built_in"),
)
role_permissions = sa.table(
    "role_permissions", sa.column("role_id", sa.Uuid()), sa.column("permission")
)


def upgrade() -> None:
    """Fill in the permissions and the built-in roles."""
    op.bulk_insert(
        permissions,
        [{"name": name, "description": text} for name, text in PERMISSIONS.items()],
    )
    ids = {name: new_id() for name in ROLES}
    op.bulk_insert(
        roles,
        [
            {"id": ids[name], "name": name, "description": text, "is_built_in": True}
            for name, (text, _) in ROLES.items()
        ],
    )
    op.bulk_insert(
        role_permissions,
        [
            {"role_id": ids[name], "permission": permission}
            for name, (_, granted) in ROLES.items()
            for permission in sorted(granted)
        ],
    )
