"""Which version of each policy holds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """From the tables of notices."""
    op.create_table(
        "policy_orders",
        sa.Column("name", sa.Text(), nullable=False, primary_key=True),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
    )
