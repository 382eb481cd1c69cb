"""The demo in words: what answers mean, who the attackers are, the lines of the timeline, the verdict as told."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from floodwarden.cli_output import safe
from floodwarden.demo import traffic
from floodwarden.demo.ledger import Ledger, Outcome
from floodwarden.demo.traffic import Client, Scene
from floodwarden.demo.verdict import Attacker, Held, Stopped, Tallies, Verdict
from floodwarden.demo.watch import Enforced
from floodwarden.http_client import Answer
from floodwarden.panel import Figures
from limiter.identity import Identifier
from schemas.alert import Alert, Status

# What the policy gives an API key, and what an action that throttles leaves of it: see policy.yaml and the settings.
KEY_PER_S: Final = 10
KEY_BURST: Final = 20
THROTTLE_FACTOR: Final = 0.1


class _Problem(msgspec.Struct):
    action: str | None = None


_PROBLEM: Final = msgspec.json.Decoder(_Problem)
Line = tuple[str, str, str]


def outcome(answer: Answer) -> Outcome:
    """What an answer of a node means to its client."""
    if answer.headers.get("content-type") != "application/problem+json":
        return Outcome.SERVED if answer.status < 400 else Outcome.FAILED
    if answer.status == 429:
        return Outcome.THROTTLED if _PROBLEM.decode(answer.body).action else Outcome.LIMITED
    return Outcome.CHALLENGED if "floodwarden-challenge" in answer.headers else Outcome.DENIED


def targets(client: Client, identifier: Identifier) -> Iterator[str]:
    """What an action against `client` would name."""
    yield f"ip:{client.ip}"
    if client.key:
        yield f"key:{identifier.key_id(client.key)}"


def attackers(identifier: Identifier) -> list[Attacker]:
    """Who must be stopped, and what counts as that."""
    # The reduced limit and not more, also on a busy machine: a slow Redis refills nobody's bucket.
    reduced = Held(KEY_PER_S * THROTTLE_FACTOR, KEY_BURST * THROTTLE_FACTOR)
    return [
        Attacker("brute", "the password guesser", f"ip:{traffic.BRUTE_IP}", {"deny": Held()}),
        Attacker(
            "hammer",
            "the client that ignores 429",
            f"key:{identifier.key_id(traffic.HAMMER_KEY)}",
            {"throttle": reduced, "deny": Held()},
        ),
    ]


def cues(scene: Scene, identifier: Identifier) -> list[tuple[float, str, str, str]]:
    """What the traffic does, at which second, as (second, mark, sentence, style)."""
    key_id = identifier.key_id(traffic.HAMMER_KEY)
    return [
        (0, "traffic", f"{traffic.PEOPLE} people and {traffic.MACHINES} machines use the shop; nothing is wrong", ""),
        (
            scene.brute_s,
            "ATTACK",
            f"{traffic.BRUTE_IP} guesses passwords, {traffic.BRUTE_PER_S} a second",
            "bold magenta",
        ),
        (
            scene.hammer_s,
            "ATTACK",
            f"API key {key_id} asks {traffic.HAMMER_PER_S} times a second, {KEY_PER_S} are allowed, ignores the 429s",
            "bold magenta",
        ),
        (
            scene.crowd_s,
            "crowd",
            f"{traffic.CROWD} strangers follow a link to /items/{traffic.HOT_ITEM} at once; all of them are welcome",
            "cyan",
        ),
    ]


def alert_line(alert: Alert, known: Collection[str]) -> Line | None:
    """An alert as a line; None for one that says nothing new."""
    if alert.status is Status.WITHDRAWN:
        return "alert", f"withdrawn: {alert.kind} {alert.entity.kind} {safe(alert.entity.value)}", "yellow"
    if alert.uid in known or alert.status is not Status.OPEN:
        return None
    return "ALERT", f"{alert.kind}: {safe(alert.summary)}", "bold yellow"


def enforced_line(one: Enforced, nodes: int) -> Line:
    """An action that is in force as a line."""
    text = f"{safe(one.what)} in force at {len(one.nodes)} of {nodes} limiters {one.after}"
    return "ACTION", text, "bold red" if not one.missing else "bold yellow"


def tallies_words(tallies: Tallies) -> str:
    """The counts as a sentence."""
    if tallies.exact:
        return f"{tallies.published:,} decisions published, {tallies.counted:,} in the windows: none lost, none twice"
    counted = "unknown" if tallies.counted is None else f"{tallies.counted:,}"
    return f"{tallies.answered:,} answered, {tallies.published:,} published, in the windows {counted}"


def figures(ledger: Ledger, alerts: int, enforced: Sequence[Enforced]) -> Figures:
    """The ledger for the panel."""
    totals = ledger.totals
    return Figures(
        totals[Outcome.SERVED] + totals[Outcome.FAILED],
        totals[Outcome.LIMITED] + totals[Outcome.THROTTLED],
        totals[Outcome.DENIED],
        totals[Outcome.CHALLENGED],
        alerts,
        tuple(f"{one.kind} {safe(one.target)}" for one in enforced),
        tuple(one.took_ms for one in enforced if one.took_ms is not None),
    )


def total(body: object) -> int | None:
    """All decisions in the windows, from the stream's totals; None when it does not say."""
    try:
        kinds = msgspec.convert(body, _Totals).kinds
    except msgspec.ValidationError:
        return None
    return int(kinds.get("global", {}).get("n", 0))


class _Totals(msgspec.Struct):
    kinds: dict[str, dict[str, float]]


def at_large(stopped: Sequence[Stopped]) -> str:
    """Those of whom it is not known yet that they were stopped."""
    return " and ".join(one.attacker.title for one in stopped if not one.judged)


def tell(console: Console, verdict: Verdict, alerts: Collection[Alert]) -> None:
    """The verdict for people: each attacker, why it was stopped, how fast; the good; the counts."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for heading in ("attacker", "answer", "in force after", "past the threshold", "afterwards"):
        table.add_column(heading)
    for one in verdict.stopped:
        table.add_row(*_row(one))
    console.print()
    console.print(table)
    for one in verdict.stopped:
        if one.alert is not None:
            _because(console, one.alert)
    console.print()
    good = f"{verdict.good_clients} good clients, {traffic.CROWD} of them a sudden crowd: "
    console.print(good + (f"{verdict.good_touched} refused by an action" if verdict.good_touched else "none touched"))
    if verdict.good_limited:
        console.print(f"{verdict.good_limited} of their requests met the ordinary limits")
    extra = len({alert.uid for alert in alerts} - {one.alert.uid for one in verdict.stopped if one.alert})
    if extra:
        console.print(f"{extra} more alert{'s' * (extra != 1)} about the same or others; see the timeline")
    console.print(
        f"{verdict.nodes_acknowledged} of {len(verdict.nodes)} limiters acknowledged; {tallies_words(verdict.tallies)}"
    )
    for problem in verdict.problems:
        console.print(f"NOT OK  {problem}", style="bold red")
    if verdict.ok:
        console.print("OK  both attackers stopped, nobody else touched", style="bold green")


def _row(one: Stopped) -> Iterator[Text]:
    yield Text(one.attacker.title)
    if one.action is None:
        yield Text("none", style="red")
        return
    yield Text(one.action.kind, style="green" if one.stopped else "red")
    yield Text(f"{one.action.took_ms} ms" if one.action.took_ms is not None else "-")
    yield Text(f"{one.past_threshold} request{'s' * (one.past_threshold != 1)}")
    yield Text(f"{one.through} of {one.asked} got through")


def _because(console: Console, alert: Alert) -> None:
    for fact in alert.evidence[:3]:
        console.print(Text(f"  {alert.kind}: {safe(fact.sentence)}", style="dim"))
