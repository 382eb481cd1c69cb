"""What a request comes to: its route and tier, what is in force, the limits that apply. Pure: time is handed in."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from limiter.conditions import FOREVER_MS
from limiter.facts import Facts, client_of
from limiter.matcher import Matcher, in_canary
from limiter.overrides import Overrides
from limiter.policy import PPM, Brownout
from limiter.ruling import NOTHING, Ruling
from limiter.throttles import throttled
from limiter.trial import Trial
from limiter.verdict import TURN_MS, Placed, Reason, Request

LEVEL_MS: Final = 20  # when a brownout's level ends is not in a ruling: it is asked for again so often


class Placing:
    """Places requests by a policy, which `matcher` holds and may be put in its place, and the actions in force.

    While another version is on `trial`, it places them too.
    """

    def __init__(self, matcher: Matcher, overrides: Overrides) -> None:
        self.matcher = matcher
        self.trial: Trial | None = None
        self._overrides = overrides

    @property
    def headers(self) -> frozenset[str]:
        """Headers that are looked at."""
        return self.matcher.headers if self.trial is None else self.matcher.headers | self.trial.matcher.headers

    def gives_slots(self, limit: str) -> bool:
        """Whether there is a limit of that name that gives slots."""
        return limit in self.matcher.slots or (self.trial is not None and limit in self.trial.matcher.slots)

    def place(self, request: Request, now_ms: int) -> Placed:
        """Everything memory knows of `request`."""
        placed = self._placed(self.matcher, request, now_ms)
        if self.trial is None:
            return placed
        both = self.trial.both(placed, self._placed(self.trial.matcher, request, now_ms), request.identity)
        return replace(both, beside=None) if request.peek else both

    def _placed(self, matcher: Matcher, request: Request, now_ms: int) -> Placed:
        identity, policy = request.identity, matcher.policy
        method = request.method.upper()
        route = request.route or matcher.route(method, request.path)
        tier = policy.tier_of(request.tier, identity.key_id, identity.user, identity.tenant).name
        listed = matcher.lists.judge(identity, tier, request.attributes)
        if listed is not None:
            return Placed(route, tier, NOTHING, [], None, (), listed)
        ruling = self._overrides.judge(identity, route, now_ms, tier, request.attributes)
        factor_ppm, reduced, shed = PPM, None, None
        if ruling.level:
            factor_ppm = policy.brownout.factor_ppm(ruling.level, tier, method, route, ruling.part_ppm)
            reduced = Reason.BROWNOUT if factor_ppm != PPM else None
            shed = _shed(policy.brownout, ruling, method, route, Facts(identity, tier, request.attributes, now_ms))
        whole_ppm = PPM if ruling.throttles else factor_ppm
        matched = matcher.limits(method, route, tier, identity, whole_ppm, request.cost, request.attributes, now_ms)
        applied, shadowed = matched.applied, matched.shadowed
        if ruling.throttles:
            applied = throttled(applied, ruling.throttles, factor_ppm)
            shadowed = throttled(shadowed, ruling.throttles, factor_ppm)
        if request.peek:
            applied, shadowed = [replace(one, look=True) for one in applied], []
        until_ms = min(matched.until_ms, _until_ms(ruling, now_ms))
        return Placed(route, tier, ruling, applied, reduced, shadowed, until_ms=until_ms, shed=shed)


def _shed(brownout: Brownout, ruling: Ruling, method: str, route: str, facts: Facts) -> str | None:
    """The class of a request that is turned away, None for one that is let in.

    A client is in or out for a whole turn, so that who is in gets all that a page needs; as the share grows, whoever is
    in stays in. Then it is others' turn.
    """
    name = brownout.class_of(method, route, facts)
    admit_ppm = brownout.admit_ppm(ruling.level, name, ruling.part_ppm)
    if name is None or admit_ppm >= PPM:
        return None
    return None if in_canary(f"brownout {facts.now_ms // TURN_MS}", client_of(facts.identity), admit_ppm) else name


def _until_ms(ruling: Ruling, now_ms: int) -> int:
    """Until when `ruling` stands, unless something is put in force or removed."""
    if ruling.level:
        return now_ms + LEVEL_MS
    entries = (ruling.refusal, ruling.allowed, *ruling.throttles)
    return min((entry.expires_ms for entry in entries if entry is not None), default=FOREVER_MS)
