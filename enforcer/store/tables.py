"""The tables. A change here is a new file in `migrations/versions`, never a change of an old one.

What came from the topics: `alerts`, `actions`, `incidents`, `events`, `offsets`. What exists only here: the rest.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from schemas.sql import Text

META: Final = sa.MetaData()
WRITING: Final = 0x666C6F6F65  # the lock of whoever gives out places in `events` and `audit`


def _text(name: str, **more: Any) -> sa.Column[Any]:
    return sa.Column(name, Text, nullable=False, **more)


def _number(name: str, **more: Any) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, **({"nullable": False} | more))


def _place(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, primary_key=True, autoincrement=False)


ALERTS: Final = sa.Table(
    "alerts",
    META,
    _text("uid", primary_key=True),
    _text("status"),
    _text("kind"),
    _text("severity"),
    _text("entity"),  # KIND:VALUE
    sa.Column("tenant", Text),  # whose it is, for callers that have one
    _text("incident"),
    _number("first_ms"),
    _number("last_ms"),
    _number("crossed_ms"),
    _text("body"),  # the newest word, as JSON
    sa.Index("alerts_by_time", "crossed_ms", "uid"),
    sa.Index("alerts_by_entity", "entity", "crossed_ms"),
    sa.Index("alerts_by_incident", "incident", "first_ms", "uid"),
    sa.Index("alerts_summed_up", "incident", "status", "severity", "tenant", "first_ms", "last_ms"),
    sa.Index("alerts_of_tenant", "tenant", "incident", "first_ms", "uid", "last_ms", "status", "severity"),
)
INCIDENTS: Final = sa.Table(
    "incidents",
    META,
    _text("uid", primary_key=True),
    _text("topic"),  # what its alerts have in common: enforcer.incidents.topic
    _text("kind"),
    sa.Column("route", Text),
    sa.Column("tenant", Text),
    _text("status"),
    _text("severity"),
    _number("first_ms"),
    _number("last_ms"),
    _number("alerts"),
    _text("summary"),
    sa.Column("acked_by", Text),  # who has it in hand
    _number("acked_ms", nullable=True),
    sa.Column("acked_tenant", Text),  # whose that is; null: of those who run the site
    sa.Index("incidents_by_time", "first_ms", "uid"),
    sa.Index("incidents_by_topic", "topic", "last_ms"),
)
ACTIONS: Final = sa.Table(
    "actions",
    META,
    _text("uid", primary_key=True),
    _text("status"),
    _text("kind"),
    _text("target"),  # KIND:VALUE
    sa.Column("tenant", Text),
    _text("owner"),
    sa.Column("alert_uid", Text, index=True),
    _number("calls", nullable=True),  # 1: somebody is to be called for it
    _number("created_ms"),
    _number("expires_ms"),
    _number("ended_ms", nullable=True),
    _text("body"),  # as lists show it (enforcer.records.brief)
    sa.Column("marks", Text),  # whom it spares: what lists leave out, up to 700 kB
    sa.Index("actions_by_time", "created_ms", "uid"),
    sa.Index("actions_by_target", "target", "created_ms"),
)
ENFORCEMENTS: Final = sa.Table(
    "enforcements",  # when each limiter had an action: enforcer.acknowledgements.Enforcement
    META,
    _text("action", primary_key=True),
    _number("at_ms", index=True),
    _number("missing"),  # live limiters that had not acknowledged it
    _text("body"),
)
NOTICES: Final = sa.Table(
    "notices",  # what each destination was told of an incident, and when to look whether it is to be told more
    META,
    _text("destination", primary_key=True),
    _text("incident", primary_key=True),
    _text("key"),  # the thread in which it is told: one page, one conversation; several incidents share a digest's
    _text("kind"),  # of the incident, as is its route: it may be gone when its end is told
    sa.Column("route", Text),
    _text("severity"),  # as it was told last
    _number("open"),  # 1: was told of it and not yet of its end
    _number("acked"),  # 1: was told that somebody has it in hand
    _number("number"),  # how many words it was told
    _number("told_ms"),
    _number("due_ms", nullable=True),  # null: nothing to do until the incident changes
    _number("attempts"),  # of the word that is due, so far
    sa.Index("notices_due", "destination", "due_ms"),
    sa.Index("notices_by_key", "destination", "key"),
    sa.Index("notices_by_incident", "incident"),
)
SENDERS: Final = sa.Table(
    "notice_senders",  # which enforcer delivers to a destination, until when
    META,
    _text("destination", primary_key=True),
    _text("holder"),
    _number("until_ms"),
    _text("sent"),  # times of the last minute's notices, for the bound: JSON
)
EVENTS: Final = sa.Table(
    "events",  # each word of an alert or action that changed something, in the order we heard it
    META,
    _place("seq"),
    _number("at_ms", index=True),
    _text("kind"),  # alert, action
    _text("uid", index=True),
    sa.Column("tenant", Text),
    _text("body"),
)
OFFSETS: Final = sa.Table(
    "offsets",
    META,
    _text("topic", primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    _number("next"),  # everything before it is in the tables
)
LABELS: Final = sa.Table(
    "labels",
    META,
    _text("uid", primary_key=True),
    _text("subject", index=True),  # alert:UID, action:UID, incident:UID or an entity's KIND:VALUE
    sa.Column("tenant", Text),
    _text("label"),
    _text("note"),
    _text("by"),
    _number("at_ms"),
    sa.Index("labels_by_time", "at_ms", "uid"),
)
APPEALS: Final = sa.Table(
    "appeals",
    META,
    _text("uid", primary_key=True),
    _text("action_uid", index=True),
    sa.Column("tenant", Text),
    _text("status"),  # open, accepted, rejected
    _text("text"),
    _text("contact"),
    _text("by"),
    _number("at_ms"),
    sa.Column("decided_by", Text),
    _number("decided_ms", nullable=True),
    _text("decision"),
    sa.Index("appeals_by_time", "at_ms", "uid"),
)
POLICIES: Final = sa.Table(
    "policies",
    META,
    _text("name", primary_key=True),
    _place("version"),
    _text("state"),  # scheduled, candidate, enforced, retired, withdrawn
    _text("body"),  # schemas.policies.as_text: its files
    _text("digest"),
    _text("author"),
    _text("reason"),
    _number("created_ms"),
    _number("from_ms", nullable=True),  # when it takes effect; at once when null
)
ORDERS: Final = sa.Table(
    "policy_orders",  # which version of each policy holds: the truth of what Redis shows the limiters
    META,
    _text("name", primary_key=True),
    _number("serial"),  # rises with each change, however old the version it names
    _number("version"),
    _text("digest"),
    _number("at_ms"),
    _number("candidate", nullable=True),  # the version that is on trial beside, if one is
    sa.Column("candidate_digest", Text),
    _number("share_ppm", nullable=True),  # of clients for whom that one holds
)
ROLLOUTS: Final = sa.Table(
    "policy_rollouts",  # each version's way to all clients, of those that did not hold at once
    META,
    _text("name", primary_key=True),
    _place("version"),
    _text("state"),  # enforcer.rollout.State
    _text("stages"),
    _number("stage"),
    _number("at_ms"),  # since when it is in that state and stage, or will be
    _number("paused_ms", nullable=True),
    _text("why"),
    _text("body"),  # JSON: its bounds, how the site did before, what was measured last
)
USERS: Final = sa.Table(
    "users",  # roles of those whose tokens say none
    META,
    _text("name", primary_key=True),
    _text("role"),
    sa.Column("tenant", Text),
    _number("created_ms"),
    _text("created_by"),
)
KEYS: Final = sa.Table(
    "api_keys",
    META,
    _text("id", primary_key=True),
    _text("digest"),  # SHA-256 of the key, of which 256 bits are chance
    _text("name"),
    _text("role"),
    _text("scopes"),  # space separated; empty: all of the role
    sa.Column("tenant", Text),
    _number("created_ms"),
    _text("created_by"),
    _number("expires_ms", nullable=True),
    _number("revoked_ms", nullable=True),
    sa.Column("revoked_by", Text),
    _number("pulled_ms", nullable=True),  # when a bouncer asked with it last, to some seconds
    sa.Column("pulled_from", Text),  # its address
    sa.Column("pulled_agent", Text),  # what it calls itself
)
AUDIT: Final = sa.Table(
    "audit",  # the database refuses to change or delete a row
    META,
    _place("seq"),
    _number("at_ms"),
    _text("actor"),
    _text("verb"),
    _text("subject"),
    _text("detail"),  # JSON
    _text("hash"),
    _text("before"),  # the hash of the entry before
)
ANSWERS: Final = sa.Table(
    "answers",  # of writes that had an Idempotency-Key
    META,
    _text("caller", primary_key=True),
    _text("key", primary_key=True),
    _text("digest"),  # of what was asked
    _number("at_ms", index=True),
    _number("status", nullable=True),  # null: not answered yet
    _text("body"),
)
