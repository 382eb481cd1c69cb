"""Answers to writes that came with an Idempotency-Key, kept for a day: the same write again gives the same answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from enforcer.errors import CommandError
from enforcer.store.database import ANSWERS_MS, writing
from enforcer.store.tables import ANSWERS

UNDER_WAY_MS: Final = 30_000  # longer than any write takes: who has not answered by then fell over


@dataclass(frozen=True, slots=True)
class Ask:
    """A caller's key, and a digest of what is asked with it."""

    caller: str
    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered."""

    status: int
    body: str


def begin(engine: sa.Engine, ask: Ask, now_ms: int) -> Answer | None:
    """The answer there is; None: there is none, and the caller may act, once.

    Raises:
        CommandError: the key was used for something else, or the same is under way.
    """
    here = _here(ask)
    with writing(engine) as at:
        row = at.execute(sa.select(ANSWERS).where(here)).one_or_none()
        if row is not None and row.at_ms >= now_ms - ANSWERS_MS:
            if row.digest != ask.digest:
                fix = "use a new key for a new request"
                raise CommandError("key_used", "idempotency-key", "was used for another request", fix)
            if row.status is not None:
                return Answer(row.status, row.body)
            if row.at_ms >= now_ms - UNDER_WAY_MS:
                raise CommandError("under_way", "idempotency-key", "the same request is under way", "ask again later")
        at.execute(sa.delete(ANSWERS).where(here))
        values = {"caller": ask.caller, "key": ask.key, "digest": ask.digest, "at_ms": now_ms, "body": ""}
        at.execute(sa.insert(ANSWERS).values(values))
    return None


def keep(engine: sa.Engine, ask: Ask, answer: Answer) -> None:
    """What was answered, for whoever asks again."""
    with writing(engine) as at:
        at.execute(sa.update(ANSWERS).where(_here(ask)).values(status=answer.status, body=answer.body))


def drop(engine: sa.Engine, ask: Ask) -> None:
    """Nothing was done: the same may be asked again."""
    with writing(engine) as at:
        at.execute(sa.delete(ANSWERS).where(_here(ask), ANSWERS.c.status.is_(None)))


def _here(ask: Ask) -> sa.ColumnElement[bool]:
    return (ANSWERS.c.caller == ask.caller) & (ANSWERS.c.key == ask.key)
