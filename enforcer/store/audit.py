"""The audit: who did what, when; it is only ever added to.

Each entry's hash covers the one before, so none can be changed, left out or put in unnoticed; a head noted elsewhere
shows that none was cut off.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from enforcer.store.tables import AUDIT

ORIGIN: Final = "0" * 64
_PAGE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be told: `actor` did `verb` to `subject`. `detail` holds no secret."""

    at_ms: int
    actor: str
    verb: str
    subject: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry; `seq` 0 while there is none."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Verified:
    """The outcome: `entries` hold; `broken` says what is wrong after them, and is empty where nothing is."""

    entries: int
    head: Head
    broken: str = ""


def parse(text: str) -> Head:
    """A head as it is printed, `SEQ:HASH`, or with the first characters of the hash."""
    seq, _, found = text.partition(":")
    return Head(int(seq), found)


def append(at: sa.Connection, entries: Sequence[Entry]) -> None:
    """Add entries, in order. The caller's transaction holds the lock `WRITING`."""
    head = newest(at)
    rows = []
    for entry in entries:
        told = json.dumps(entry.detail, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        row = {
            "seq": head.seq + 1, "at_ms": entry.at_ms, "actor": _plain(entry.actor), "verb": entry.verb,
            "subject": _plain(entry.subject), "detail": told, "before": head.hash,
        }  # fmt: skip
        head = Head(head.seq + 1, _hash(row))
        rows.append(row | {"hash": head.hash})
    if rows:
        at.execute(sa.insert(AUDIT), rows)


def newest(at: sa.Connection) -> Head:
    """Where the chain ends."""
    row = at.execute(sa.select(AUDIT.c.seq, AUDIT.c.hash).order_by(AUDIT.c.seq.desc()).limit(1)).one_or_none()
    return Head(row.seq, row.hash) if row else Head(0, ORIGIN)


def verify(engine: sa.Engine, noted: Head | None = None) -> Verified:
    """Go through every entry; with `noted`, see also that this head, noted before, still is one of them."""
    head = Head(0, ORIGIN)
    seen = noted is None or noted.seq == 0
    while rows := _page(engine, head.seq):
        for row in rows:
            if broken := _broken(row, head):
                return Verified(head.seq, head, broken)
            head = Head(row["seq"], row["hash"])
            if noted is not None and noted.seq == head.seq:
                if not head.hash.startswith(noted.hash):
                    return Verified(
                        head.seq, head, f"entry {head.seq} is not the one that was noted: a chain made anew"
                    )
                seen = True
    missing = f"it ends at entry {head.seq}, and {noted.seq} was noted: entries were cut off" if noted else ""
    return Verified(head.seq, head, "" if seen else missing)


def _page(engine: sa.Engine, after: int) -> Sequence[Mapping[str, Any]]:
    question = sa.select(AUDIT).where(AUDIT.c.seq > after).order_by(AUDIT.c.seq).limit(_PAGE)
    with engine.connect() as at:
        return [dict(row) for row in at.execute(question).mappings()]


def _broken(row: Mapping[str, Any], head: Head) -> str:
    if row["seq"] != head.seq + 1:
        return f"entry {head.seq + 1} is missing"
    if row["before"] != head.hash:
        return f"entry {row['seq']} does not follow the one before it"
    return "" if _hash(row) == row["hash"] else f"entry {row['seq']} was changed"


def _hash(row: Mapping[str, Any]) -> str:
    parts = [row[name] for name in ("seq", "at_ms", "actor", "verb", "subject", "detail", "before")]
    return hashlib.sha256(json.dumps(parts, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()


def _plain(text: str) -> str:
    """As the database gives it back: what is hashed is what stands there."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
