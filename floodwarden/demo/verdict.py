"""Whether the loop did what it promises, from what was seen outside it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from floodwarden.demo.ledger import Ledger, Outcome, Seen
from floodwarden.demo.watch import Enforced
from schemas.alert import Alert

SLACK_MS: Final = 300  # what was on its way to a node when the action came into force there
JUDGED_MIN: Final = 10  # an attacker that asked less often afterwards proves nothing


@dataclass(frozen=True, slots=True)
class Held:
    """What a client may still get: `rate_per_s` and a `burst`; both 0 for one that is denied."""

    rate_per_s: float = 0.0
    burst: float = 0.0


@dataclass(frozen=True, slots=True)
class Attacker:
    """One attacker of the story: the target that an action must name, and the limit it has while throttled."""

    role: str
    title: str
    target: str
    kinds: Mapping[str, Held]  # kind of action that counts as stopped -> what may still get through


@dataclass(frozen=True, slots=True)
class Stopped:
    """How it went with one attacker. `asked` and `through`: requests after the action was in force everywhere."""

    attacker: Attacker
    stopped: bool
    action: Enforced | None
    alert: Alert | None
    asked: int
    through: int
    past_threshold: int
    why: str

    @property
    def judged(self) -> bool:
        """Whether it asked often enough with the action in force everywhere."""
        return self.asked >= JUDGED_MIN


@dataclass(frozen=True, slots=True)
class Tallies:
    """The same decisions counted at three places: answers at the clients, rows in the topic, sums of the windows."""

    answered: int
    lost: int
    published: int
    counted: int | None

    @property
    def exact(self) -> bool:
        """Whether all agree; a request without an answer may or may not have become a decision."""
        return self.counted == self.published and self.answered <= self.published <= self.answered + self.lost


@dataclass(frozen=True, slots=True)
class Verdict:
    """The whole of it; `ok` only if every promise was kept."""

    stopped: Sequence[Stopped]
    good_clients: int
    good_touched: int  # answers to good clients in which an action stood in the way
    good_limited: int  # good clients' 429 by the ordinary policy
    good_targets: Sequence[str]  # actions that name a good client
    nodes: Collection[str]
    nodes_acknowledged: int
    tallies: Tallies
    problems: Sequence[str] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether nothing is to be complained of."""
        return not self.problems

    def times_ms(self) -> list[int]:
        """Times to enforce of the attackers' actions."""
        return sorted(s.action.took_ms for s in self.stopped if s.action is not None and s.action.took_ms is not None)

    def as_json(self) -> dict[str, object]:
        """The one object of `demo --json`; fields are only ever added."""
        times = self.times_ms()
        past = [s.past_threshold for s in self.stopped]
        return {
            "ok": self.ok,
            "decisions": self.tallies.published,
            "attackers": len(self.stopped),
            "attackers_stopped": sum(s.stopped for s in self.stopped),
            "benign_denied": self.good_touched,
            "time_to_enforce_ms": {
                "p50": percentile(times, 50),
                "p99": percentile(times, 99),
                "max": max(times, default=None),
            },
            "requests_past_threshold": {"max": max(past, default=None)},
            "nodes_acknowledged": self.nodes_acknowledged,
            "nodes": len(self.nodes),
            "benign_limited": self.good_limited,
            "decisions_counted": self.tallies.counted,
            "decisions_answered": self.tallies.answered,
            "counts_exact": self.tallies.exact,
            "by_attacker": {
                s.attacker.role: {
                    "stopped": s.stopped,
                    "action": s.action.kind if s.action else None,
                    "alert": s.alert.kind if s.alert else None,
                    "crossed_after": s.alert.crossed_after if s.alert else None,
                    "time_to_enforce_ms": s.action.took_ms if s.action else None,
                    "requests_past_threshold": s.past_threshold,
                    "asked_after": s.asked,
                    "through_after": s.through,
                }
                for s in self.stopped
            },
            "problems": list(self.problems),
        }


def percentile(ordered: Sequence[int], percent: int) -> int | None:
    """Nearest-rank percentile of sorted values; None of none."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else None


def judge(
    ledger: Ledger,
    attackers: Sequence[Attacker],
    good_targets: Collection[str],
    enforced: Sequence[Enforced],
    alerts: Collection[Alert],
    nodes: Collection[str],
    tallies: Tallies,
) -> Verdict:
    """Every promise held against what was seen. `good_targets`: what an action against a good client would name."""
    stopped = [how_it_went(a, ledger, enforced, alerts, nodes) for a in attackers]
    touched = sum(ledger.good_with(outcome) for outcome in Outcome if outcome.touched)
    wrong = sorted({f"{e.kind} {e.target}" for e in enforced if e.target in good_targets and e.kind != "notice"})
    reached = [s.action for s in stopped if s.action is not None]
    acknowledged = min((len(set(e.nodes) & set(nodes)) for e in reached), default=0)
    problems = [f"{s.attacker.title} was not stopped: {s.why}" for s in stopped if not s.stopped]
    if touched:
        who = ", ".join(c.name for c in ledger.good_clients_with(o for o in Outcome if o.touched))
        problems.append(f"{touched} answers to good clients were ours to refuse by an action: {who[:200]}")
    problems += [f"an action names a good client: {text}" for text in wrong]
    if acknowledged < len(nodes):
        problems.append(f"{acknowledged} of {len(nodes)} limiters acknowledged every action")
    if not tallies.exact:
        problems.append(
            f"counts differ: {tallies.answered} answered (+{tallies.lost} without answer), "
            f"{tallies.published} published, {tallies.counted} in the windows"
        )
    return Verdict(
        stopped,
        sum(client.good for client in ledger.by_client),
        touched,
        ledger.good_with(Outcome.LIMITED),
        wrong,
        nodes,
        acknowledged,
        tallies,
        problems,
    )


def how_it_went(
    attacker: Attacker,
    ledger: Ledger,
    enforced: Sequence[Enforced],
    alerts: Collection[Alert],
    nodes: Collection[str],
) -> Stopped:
    """With one attacker, until now."""
    seen = ledger.attacks.get(attacker.role, [])
    aimed = [e for e in enforced if e.target == attacker.target and e.kind in attacker.kinds]
    first = min(aimed, key=lambda e: e.in_force_ms, default=None)
    if first is None:
        return Stopped(attacker, False, None, None, 0, 0, 0, "no action named it")
    alert = min(
        (a for a in alerts if _target(a) == first.target),
        key=lambda a: abs(a.crossed_ms - (first.crossed_ms or 0)),
        default=None,
    )
    after = [s for s in seen if s.sent_ms > first.in_force_ms + SLACK_MS]
    through = sum(s.outcome.upstream for s in after)
    seconds = (after[-1].sent_ms - after[0].sent_ms) / 1000 if after else 0.0
    held = attacker.kinds[first.kind]
    may = held.rate_per_s * seconds + held.burst
    why = ""
    if set(nodes) - set(first.nodes):
        why = f"its {first.kind} did not reach {', '.join(sorted(set(nodes) - set(first.nodes)))}"
    elif len(after) < JUDGED_MIN:
        why = f"it asked only {len(after)} times after its {first.kind} was in force"
    elif through > may:
        why = f"{through} of {len(after)} requests got through after its {first.kind}, {may:.0f} may"
    return Stopped(attacker, not why, first, alert, len(after), through, _past(seen, first), why)


def _past(seen: Sequence[Seen], action: Enforced) -> int:
    # What reached the shop while the action was on its way, without the request that crossed. A decision's time lies
    # between what its client wrote down as sent and as answered; whatever may have been later counts as later.
    crossed_ms = action.crossed_ms or 0
    late = sum(s.outcome.upstream for s in seen if crossed_ms <= s.answered_ms and s.sent_ms <= action.in_force_ms)
    return max(0, late - 1)


def _target(alert: Alert) -> str:
    return f"{alert.entity.kind}:{alert.entity.value}"
