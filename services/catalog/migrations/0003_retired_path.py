"""Retired products store the path of their category, which may be deleted after them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the path, and fill it where the category still exists."""
    op.add_column("products", sa.Column("retired_path", postgresql.ARRAY(sa.Uuid()), nullable=True))
    op.execute(
        "update products p set retired_path = c.path from categories c "
        "where c.id = p.category_id and p.deleted_at is not null"
    )
    op.create_check_constraint(
        op.f("ck_products_retired_path"),
        "products",
        "deleted_at is not null or retired_path is null",
    )
