"""An incident of several tenants is shown to each: its alerts by tenant, and whose is who has it in hand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
_INDEX = ["tenant", "incident", "first_ms", "uid", "last_ms", "status", "severity"]


def upgrade() -> None:
    """From the marks of actions. Until now an incident was shown to a tenant alone whose it was whole."""
    op.create_index("alerts_of_tenant", "alerts", _INDEX)
    op.add_column("incidents", sa.Column("acked_tenant", sa.Text(), nullable=True))
    op.execute("UPDATE incidents SET acked_tenant = tenant WHERE acked_by IS NOT NULL")
