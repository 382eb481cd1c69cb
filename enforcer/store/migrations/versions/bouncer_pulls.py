"""When a bouncer asked with a key last, and which."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """From the orders of policies."""
    op.add_column("api_keys", sa.Column("pulled_ms", sa.BigInteger(), nullable=True))
    op.add_column("api_keys", sa.Column("pulled_from", sa.Text(), nullable=True))
    op.add_column("api_keys", sa.Column("pulled_agent", sa.Text(), nullable=True))
