"""What destinations were told, when limiters had an action, and who has an incident in hand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """From the first tables."""
    op.add_column("incidents", sa.Column("acked_by", sa.Text(), nullable=True))
    op.add_column("incidents", sa.Column("acked_ms", sa.BigInteger(), nullable=True))
    op.add_column("actions", sa.Column("calls", sa.BigInteger(), nullable=True))
    op.create_table(
        "enforcements",
        sa.Column("action", sa.Text(), nullable=False, primary_key=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("missing", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("ix_enforcements_at_ms", "enforcements", ["at_ms"])
    op.create_table(
        "notices",
        sa.Column("destination", sa.Text(), nullable=False, primary_key=True),
        sa.Column("incident", sa.Text(), nullable=False, primary_key=True),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=True),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("open", sa.BigInteger(), nullable=False),
        sa.Column("acked", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("told_ms", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
    )
    op.create_index("notices_due", "notices", ["destination", "due_ms"])
    op.create_index("notices_by_key", "notices", ["destination", "key"])
    op.create_index("notices_by_incident", "notices", ["incident"])
    op.create_table(
        "notice_senders",
        sa.Column("destination", sa.Text(), nullable=False, primary_key=True),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("sent", sa.Text(), nullable=False),
    )
