"""How what is known of models is told: versions, replays, agreement, what workers run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from enforcer import model_command
from enforcer.model_command import ALIVE_MS, alive, ordered, taken
from floodwarden.cli_output import console, listing, safe, table, write_json
from floodwarden.errors import CommandError
from floodwarden.model_orders import KINDS, judge
from schemas.model_registry import Registry
from schemas.models import Agreement, Incident, Order, Trial, Word
from schemas.settings import Settings

_CLIENTS: Final = ("addresses", "keys", "users")
NO_VERSION: Final = (
    "no version yet: `floodwarden model add FILE`; workers judge by FLOODWARDEN_MODEL, else the shipped one"
)


def tell_list(settings: Settings, *, as_json: bool) -> None:
    """Every version, and what workers say."""
    rows = model_command.listed(settings)
    listing(
        as_json,
        rows,
        {
            "version": [str(row["version"]) for row in rows],
            "state": [row["state"] for row in rows],
            "model": [row["content"] for row in rows],
            "from": [row["made_from"] for row in rows],
            "of": [f"{row['span_s'] / 3600:.1f} h" for row in rows],
            "added": [when(row["at_ms"]) for row in rows],
            "by": [row["author"] for row in rows],
            "why": [row["reason"] for row in rows],
        },
        NO_VERSION,
    )
    registry = Registry(settings.registry)
    if not as_json and (order := registry.order()).serial:
        _tell_workers(alive(registry.words(), time.time_ns() // 1_000_000), order)


def tell_version(settings: Settings, number: int | None, *, as_json: bool) -> None:
    """One version, the live one without `number`. Raises `CommandError` where there is none."""
    registry = Registry(settings.registry)
    number = number or registry.order().live
    if not number:
        raise CommandError(f"no version is live; {NO_VERSION}")
    told = model_command.shown(settings, number, judge)
    if as_json:
        write_json(told)
        return
    out = console()
    out.print(f"version {number}: model {told['content']}, {told['state']}")
    span = f"{told['span_s'] / 3600:.1f} h of {safe(told['made_from'])}"
    out.print(f"learned from {span}; added {when(told['at_ms'])} by {safe(told['author'])}: {safe(told['reason'])}")
    for line in quality(told["metrics"]):
        out.print(line)
    cells = [
        (name, *(f"{of[kind]:.1f}" for kind in KINDS), _share(told["metrics"].get(f"marked.{name}")))
        for name, of in told["thresholds"].items()
    ]
    table(("family", "threshold ip", "key", "user (nats)", "marked"), cells, "")
    if trial := registry.trial(number):
        tell_trial(trial)


def quality(metrics: Mapping[str, float]) -> list[str]:
    """How good a model is, as it says itself (`stream.quality`), in sentences."""
    out = []
    if "requests" in metrics:
        clients = ((metrics.get(f"clients.{kind}", 0), word) for kind, word in zip(KINDS, _CLIENTS, strict=True))
        out.append(
            f"from {metrics['requests']:,.0f} requests of " + ", ".join(f"{n:,.0f} {word}" for n, word in clients)
        )
    if "held_out.hours" in metrics:
        told = [f"{metrics['held_out.alarms']:.1f} alarms a day, {metrics['held_out.answered']:.1f} of them answered"]
        prefix = "held_out.alarms."
        by = {name.removeprefix(prefix): n for name, n in metrics.items() if name.startswith(prefix)}
        told += [", ".join(f"{name} {n:.1f}" for name, n in sorted(by.items(), key=lambda one: -one[1]))] if by else []
        what = f"on its last {metrics['held_out.hours']:.1f} h, under a model of what went before"
        out.append(f"{what}: {'; '.join(told)}")
    for name, where in (("held_out.odd_share", " of these hours"), ("odd_share", "")):
        if name in metrics:
            out.append(f"minutes{where} as odd as one in a hundred: {_share(metrics[name])}")
    return out


def tell_trial(trial: Trial) -> None:
    """What a replay showed."""
    total, of = trial.agreement.total, trial.agreement
    what = f"version {trial.version}" if trial.version else f"model {of.shadow}"
    span = span_of(of.from_ms, of.until_ms)
    console().print(
        f"{what} on {trial.decisions:,} decisions of {span} from {safe(trial.source)}, beside the live model "
        f"{trial.against}: {total.both} incidents of both, {total.only_shadow} only with it, {total.only_live} no more"
    )
    _tell_agreement(of, ("would have been hit", "would be spared"))


def tell_comparison(settings: Settings, number: int | None, *, as_json: bool) -> None:
    """How the live model and one in shadow agree. Raises `CommandError` where nothing is known of it."""
    told = model_command.compared(settings, number)
    if as_json:
        write_json(told)
        return
    found, total = msgspec.convert(told, Agreement), told["total"]
    span = span_of(found.from_ms, found.until_ms)
    console().print(
        f"version {told['version']} in shadow of {found.live} for {span}: {total['both']} incidents of both, "
        f"{total['only_shadow']} only of the shadow, {total['only_live']} only of the live model"
    )
    _tell_agreement(found, ("only the shadow", "only the live model"))


def tell_order(order: Order, words: Sequence[Word], *, as_json: bool) -> bool:
    """What was ordered and who has taken it. False where a worker did not, or none is there."""
    good = taken(order, words)
    if as_json:
        write_json(ordered(order, words))
        return good
    live = f"version {order.live} is live" if order.live else "the settings' model is live"
    console().print(live + (f", version {order.shadow} in shadow" if order.shadow else ""))
    _tell_workers(words, order)
    return good


def _tell_workers(words: Sequence[Word], order: Order) -> None:
    out = console()
    for word in words:
        if word.refused:
            out.print(f"worker {safe(word.node)} did not take it: {safe(word.refused)}", style="red")
        elif word.serial < order.serial:
            out.print(f"worker {safe(word.node)} has not taken it yet", style="yellow")
        else:
            after = f" {word.since_ms - order.at_ms} ms after it was ordered" if word.since_ms >= order.at_ms else ""
            out.print(f"worker {safe(word.node)} judges by model {word.content}{after}")
    if not words:
        why = "so nobody judges by it yet; those that start take it"
        out.print(f"no stream worker has said anything here for {ALIVE_MS // 1000} s, {why}", style="yellow")


def _tell_agreement(found: Agreement, words: tuple[str, str]) -> None:
    cells = [
        (name, str(counts.both), str(counts.only_shadow), str(counts.only_live))
        for name, counts in sorted(found.by_family.items())
    ]
    table(("family", "both", *words), cells, "nobody was alarmed about by either")
    for word, incidents in zip(words, (found.only_shadow, found.only_live), strict=True):
        for one in incidents:
            console().print(f"{word}: {_incident(one)}")


def _share(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2g} %"


def span_of(from_ms: int, until_ms: int) -> str:
    """A time as people say it."""
    minutes = (until_ms - from_ms) / 60_000
    return (
        f"{minutes / 60:.1f} h" if minutes >= 100 else f"{minutes:.0f} min" if minutes >= 2 else f"{60 * minutes:.0f} s"
    )


def _incident(one: Incident) -> str:
    at = when(one.shadow_ms or one.live_ms)
    return f"{one.kind} {safe(one.entity)}, {one.family}, {one.answer}, {at}: {safe(one.sentence)}"


def when(at_ms: int) -> str:
    """A moment, in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")
