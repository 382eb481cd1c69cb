"""Versions of policies that come to their clients by and by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """From the times when bouncers asked."""
    op.add_column("policy_orders", sa.Column("candidate", sa.BigInteger(), nullable=True))
    op.add_column("policy_orders", sa.Column("candidate_digest", sa.Text(), nullable=True))
    op.add_column("policy_orders", sa.Column("share_ppm", sa.BigInteger(), nullable=True))
    op.create_table(
        "policy_rollouts",
        sa.Column("name", sa.Text(), nullable=False, primary_key=True),
        sa.Column("version", sa.BigInteger(), nullable=False, primary_key=True, autoincrement=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("stages", sa.Text(), nullable=False),
        sa.Column("stage", sa.BigInteger(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("paused_ms", sa.BigInteger(), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
