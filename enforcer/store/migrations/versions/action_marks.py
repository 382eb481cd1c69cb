"""Whom an action spares stands apart from what lists show of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """From the versions of policies that come by and by. What stands in `body` of older actions is read from there."""
    op.add_column("actions", sa.Column("marks", sa.Text(), nullable=True))
