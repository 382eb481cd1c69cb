"""What each level of a brownout costs whom: decisions of the last minutes, asked again under the policy. Pure.

Each is put to the limiter's own rules at every level, in its order: who is turned away by class, and whom lower limits
refuse. One node's memory stands for all buckets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from limiter.facts import Facts, Identity, header_of
from limiter.known import BUCKETS_MAX, Known
from limiter.matcher import Matcher
from limiter.orders import order
from limiter.overrides import Overrides
from limiter.placing import Placing
from limiter.policy import Policy
from limiter.verdict import Request
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind
from schemas.decision import Decision

LEVELS: Final = range(5)
CRITICAL: Final = "critical"
OTHERS: Final = "of no class"
_OURS: Final = "brownout:"
_FAR_MS: Final = 1 << 52


@dataclass(slots=True)
class ClassCost:
    """One class: how many requests, and how many of those each level refuses, 0 first."""

    requests: int = 0
    refused: list[int] = field(default_factory=lambda: [0] * len(LEVELS))


@dataclass(frozen=True, slots=True)
class Cost:
    """What the levels cost, by class in the policy's order. `unseen` are classes told by what a decision leaves out."""

    classes: dict[str, ClassCost]
    seconds: float
    unseen: tuple[str, ...]

    @property
    def total(self) -> ClassCost:
        """Everybody."""
        found = ClassCost()
        for each in self.classes.values():
            found.requests += each.requests
            found.refused = [one + other for one, other in zip(found.refused, each.refused, strict=True)]
        return found


def cost(policy: Policy, rows: Iterable[Decision]) -> Cost:
    """What the levels cost those who ask in `rows`; who is denied for other reasons is left out."""
    asked = sorted(_wanting(rows), key=lambda row: row.ts_ms)
    matcher = Matcher(policy)
    names = [_class(matcher, row) for row in asked]
    order_of = [each.name for each in policy.brownout.classes] + [OTHERS, CRITICAL]
    classes = {name: ClassCost() for name in order_of if name in set(names)}
    for level in LEVELS:
        for name, weight in _refused(matcher, asked, names, level).items():
            classes[name].refused[level] = weight
    for row, name in zip(asked, names, strict=True):
        classes[name].requests += row.weight or 1
    seconds = (asked[-1].ts_ms - asked[0].ts_ms) / 1000 if asked else 0.0
    unseen = tuple(each.name for each in policy.brownout.classes if any(map(header_of, each.when.names)))
    return Cost(classes, seconds, unseen)


def _refused(matcher: Matcher, rows: Sequence[Decision], names: Sequence[str], level: int) -> Counter[str]:
    overrides = Overrides()
    if level:
        overrides.put(order(_level(level)), 0)
    placing, known = Placing(matcher, overrides), Known(BUCKETS_MAX)
    refused: Counter[str] = Counter()
    for row, name in zip(rows, names, strict=True):
        placed = placing.place(_request(row), row.ts_ms)
        if placed.listed is not None and placed.listed[0]:
            continue
        turned_away = placed.shed is not None
        if turned_away or not all(each.allowed for each in known.take(placed.applied, 1, row.ts_ms * 1000)):
            refused[name] += row.weight or 1
    return refused


def _wanting(rows: Iterable[Decision]) -> Iterable[Decision]:
    return (row for row in rows if row.verdict in ("allow", "limit") or (row.rule or "").startswith(_OURS))


def _class(matcher: Matcher, row: Decision) -> str:
    request, policy = _request(row), matcher.policy
    method, who = request.method.upper(), request.identity
    route = request.route or matcher.route(method, request.path)
    if policy.brownout.spares(method, route):
        return CRITICAL
    tier = policy.tier_of(request.tier, who.key_id, who.user, who.tenant).name
    return policy.brownout.class_of(method, route, Facts(who, tier, request.attributes, row.ts_ms)) or OTHERS


def _request(row: Decision) -> Request:
    known = {"country": row.country, "asn": None if row.asn is None else str(row.asn)}
    attributes = {name: value for name, value in known.items() if value is not None}
    identity = Identity(row.ip, row.key_id, row.user, row.tenant)
    path = row.path or row.route or "/"
    return Request(row.method or "GET", path, identity, row.route, row.tier, row.cost, attributes=attributes or None)


def _level(level: int) -> Action:
    return Action(
        uid="plan", kind=ActionKind.BROWNOUT, status=ActionStatus.ACTIVE, level=level, reason="plan", owner="auto",
        target=Target(kind=TargetKind.GLOBAL, value="*"), created_ms=0, expires_ms=_FAR_MS,
    )  # fmt: skip
