"""One limit of a policy file, word by word. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from limiter.algorithms.shape import Shape
from limiter.algorithms.token_bucket import Bucket
from limiter.algorithms.words import WORDS as SHAPE
from limiter.algorithms.words import lease_from, shape_from
from limiter.conditions import ALWAYS, When
from limiter.errors import ShapeError, one_of
from limiter.facts import who_of
from limiter.policy import PPM, Limit, Scope, State
from limiter.reading import At
from limiter.when_file import both, when

COST_MAX: Final = 1_000_000
PRIORITY_MAX: Final = 1_000_000
WORDS: Final = ("name", "per", "route", "when", *SHAPE, "cost", "group", "priority", "state", "share")


@dataclass(frozen=True, slots=True)
class LimitAt:
    """A limit and where it stands."""

    limit: Limit
    at: At


def limit(at: At, whole: When) -> LimitAt:
    """The limit at `at`, of a file whose own conditions are `whole`."""
    fields = at.fields(*WORDS, required={"name": "login", "per": "ip"})
    shape, lease = shape_and_lease(at, fields)
    cost = fields["cost"].whole(0, COST_MAX) if "cost" in fields else 1
    if cost > shape.limit:
        fix = "raise `burst`" if shape.algorithm == Bucket.algorithm else f"at most {shape.limit}"
        raise fields["cost"].wrong(f"{cost} is above the {shape.limit} there ever are", f"nothing would pass: {fix}")
    own = when(fields["when"]) if "when" in fields else ALWAYS
    state, share_ppm = _state(at, fields)
    made = Limit(
        name=fields["name"].name(),
        per=_per(fields["per"]),
        shape=shape,
        scope=fields["route"].scope() if "route" in fields else Scope(),
        cost=cost,
        when=own if whole is ALWAYS else both(whole, own, at),
        group=fields["group"].name() if "group" in fields else None,
        priority=_priority(fields),
        state=state,
        share_ppm=share_ppm,
        lease=lease,
    )
    return LimitAt(made, at)


def shape_and_lease(at: At, fields: dict[str, At], algorithm: str = Bucket.algorithm) -> tuple[Shape, bool]:
    """The numbers among `fields`, and whether nodes may hold tokens in advance (not with `lease: off`)."""
    words = tuple((word, fields[word].text()) for word in SHAPE if word in fields)
    try:
        return _shape(words, algorithm)
    except ShapeError as error:
        if error.field in fields:
            raise fields[error.field].wrong(error.reason, error.fix) from error
        if error.reason == "is missing":
            raise at.wrong(f"has no `{error.field}`", f"add `{error.field}`: {error.fix}") from error
        raise fields.get("rate", at).wrong(f"{error.field} {error.reason}", error.fix) from error


@lru_cache(maxsize=10_000)  # large sets repeat a few shapes, and need not hold each of them 100,000 times
def _shape(words: tuple[tuple[str, str], ...], algorithm: str) -> tuple[Shape, bool]:
    said = dict(words)
    shape = shape_from(said, algorithm)
    return shape, lease_from(said, shape)


def _per(at: At) -> str:
    text = "+".join(item.text().strip() for item in at.one_or_more())
    try:
        return _known(text)
    except ValueError as error:
        raise at.wrong(f"{text[:80]!r} is not known", str(error)) from error


@lru_cache(maxsize=10_000)
def _known(text: str) -> str:
    per = "+".join(part.lower() if part.startswith("header:") else part for part in text.split("+"))
    who_of(per)
    return per


def _priority(fields: dict[str, At]) -> int:
    if "priority" not in fields:
        return 0
    if "group" not in fields:
        raise fields["priority"].wrong("says nothing without a group", "add `group: NAME`, or leave it out")
    return fields["priority"].whole(-PRIORITY_MAX, PRIORITY_MAX)


def _state(at: At, fields: dict[str, At]) -> tuple[State, int]:
    text = fields["state"].text() if "state" in fields else State.ENABLED
    if text not in State.__members__.values():
        raise fields["state"].wrong(f"{text[:40]!r} is not known", one_of(text, State))
    state = State(text)
    if (state is State.CANARY) is not ("share" in fields):
        if state is State.CANARY:
            raise at.wrong("is a canary without `share`", "add `share: 0.05` for one client in twenty")
        raise fields["share"].wrong("is of canaries", "add `state: canary`, or leave it out")
    return state, fields["share"].factor_ppm(1, 0) if "share" in fields else PPM
