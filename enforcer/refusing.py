"""Whether guardrails let an answer be given, as things stand. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from enforcer import guardrails, wording
from enforcer.crawlers import Crawlers
from enforcer.guardrails import Caps, Refusal, protected
from enforcer.standing import Standing
from schemas.action import Action, Target, TargetKind
from schemas.alert import Alert


class Guard:
    """Asks one guardrail after the other. `live` is how many clients are alive, 0: unknown."""

    def __init__(
        self, standing: Standing, caps: Caps, proxies: Iterable[Target], crawlers: Crawlers, *, dry_run: bool
    ) -> None:
        self._standing = standing
        self._caps = caps
        self._proxies = guardrails.Allowlist(proxies)
        self._crawlers = crawlers
        self._dry_run = dry_run
        self.live = 0

    def of_alert(self, alert: Alert, action: Action, now_ms: int) -> Refusal | None:
        """Whether `action` may answer `alert` now."""
        if action.target.kind is TargetKind.IP and guardrails.network_of(action.target) is None:
            return Refusal("no_address", f"{action.target.value[:80]!r} is no address")
        stale = _stale(alert, action, now_ms) if guardrails.restricts(action) else None
        return self._forbidden(action) or stale if stale is not None else self.of(action, now_ms)

    def of_demand(self, alert: Alert, action: Action, now_ms: int) -> Refusal | None:
        """Whether `action` may ask for a brownout now."""
        refusal = guardrails.stopped(self._standing.hold) or _stale(alert, action, now_ms)
        return refusal or (Refusal("dry_run", "dry run") if self._dry_run else None)

    def of(self, action: Action, now_ms: int) -> Refusal | None:
        """Whether `action` may be done now."""
        if not guardrails.restricts(action):
            return None
        if refusal := self._forbidden(action):
            return refusal
        standing, alone = self._standing, action.campaign is None
        under = standing.clients_found_alone if alone else standing.clients_under_action
        under = -1 if standing.is_under_action(action.target) else under
        minute = standing.minute.count(now_ms)
        if refusal := guardrails.over_cap(self._caps, minute, under, self.live, campaign=not alone):
            return refusal
        return Refusal("dry_run", "dry run") if self._dry_run else None

    def _forbidden(self, action: Action) -> Refusal | None:
        standing = self._standing
        if refusal := guardrails.stopped(standing.hold) or protected(action.target, standing.allowed, self._proxies):
            return refusal
        crawler = self._crawlers.covering(action.target)
        return Refusal("verified_bot", f"{action.target.key} is {crawler}'s, as it publishes") if crawler else None


def _stale(alert: Alert, action: Action, now_ms: int) -> Refusal | None:
    if now_ms - alert.last_ms <= action.expires_ms - action.created_ms:
        return None
    ago = wording.length((now_ms - alert.last_ms) // 1000)
    return Refusal("stale", f"its last evidence is {ago} old, older than the answer would last")
