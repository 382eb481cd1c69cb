"""The first tables, and that the audit is only ever added to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_REFUSED = "the audit is only ever added to"
_SQLITE = """
CREATE TRIGGER audit_stays_{name} BEFORE {verb} ON audit BEGIN SELECT RAISE(ABORT, '{refused}'); END
"""
_FUNCTION = """
CREATE FUNCTION audit_stays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{refused}'; END $$
"""
_POSTGRES = "CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit EXECUTE FUNCTION audit_stays()"


def upgrade() -> None:
    """From nothing."""
    _tables()
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(_SQLITE.format(name=verb.lower(), verb=verb, refused=_REFUSED))
    else:
        op.execute(_FUNCTION.format(refused=_REFUSED))
        op.execute(_POSTGRES)


def _tables() -> None:
    op.create_table(
        "actions",
        sa.Column("uid", sa.Text(), nullable=False, primary_key=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("alert_uid", sa.Text(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("actions_by_target", "actions", ["target", "created_ms"])
    op.create_index("actions_by_time", "actions", ["created_ms", "uid"])
    op.create_index("ix_actions_alert_uid", "actions", ["alert_uid"])
    op.create_table(
        "alerts",
        sa.Column("uid", sa.Text(), nullable=False, primary_key=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=True),
        sa.Column("incident", sa.Text(), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("crossed_ms", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("alerts_by_entity", "alerts", ["entity", "crossed_ms"])
    op.create_index("alerts_by_time", "alerts", ["crossed_ms", "uid"])
    op.create_index("alerts_by_incident", "alerts", ["incident", "first_ms", "uid"])
    op.create_index("alerts_summed_up", "alerts", ["incident", "status", "severity", "tenant", "first_ms", "last_ms"])
    op.create_table(
        "answers",
        sa.Column("caller", sa.Text(), nullable=False, primary_key=True),
        sa.Column("key", sa.Text(), nullable=False, primary_key=True),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("ix_answers_at_ms", "answers", ["at_ms"])
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(), nullable=False, primary_key=True),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=True),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.Column("revoked_by", sa.Text(), nullable=True),
    )
    op.create_table(
        "appeals",
        sa.Column("uid", sa.Text(), nullable=False, primary_key=True),
        sa.Column("action_uid", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_ms", sa.BigInteger(), nullable=True),
        sa.Column("decision", sa.Text(), nullable=False),
    )
    op.create_index("appeals_by_time", "appeals", ["at_ms", "uid"])
    op.create_index("ix_appeals_action_uid", "appeals", ["action_uid"])
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger(), nullable=False, primary_key=True, autoincrement=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("verb", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("seq", sa.BigInteger(), nullable=False, primary_key=True, autoincrement=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("ix_events_at_ms", "events", ["at_ms"])
    op.create_index("ix_events_uid", "events", ["uid"])
    op.create_table(
        "incidents",
        sa.Column("uid", sa.Text(), nullable=False, primary_key=True),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=True),
        sa.Column("tenant", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("alerts", sa.BigInteger(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
    )
    op.create_index("incidents_by_time", "incidents", ["first_ms", "uid"])
    op.create_index("incidents_by_topic", "incidents", ["topic", "last_ms"])
    op.create_table(
        "labels",
        sa.Column("uid", sa.Text(), nullable=False, primary_key=True),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=True),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_labels_subject", "labels", ["subject"])
    op.create_index("labels_by_time", "labels", ["at_ms", "uid"])
    op.create_table(
        "offsets",
        sa.Column("topic", sa.Text(), nullable=False, primary_key=True),
        sa.Column("partition", sa.Integer(), nullable=False, primary_key=True, autoincrement=False),
        sa.Column("next", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "policies",
        sa.Column("name", sa.Text(), nullable=False, primary_key=True),
        sa.Column("version", sa.BigInteger(), nullable=False, primary_key=True, autoincrement=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=True),
    )
    op.create_table(
        "users",
        sa.Column("name", sa.Text(), nullable=False, primary_key=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
    )
