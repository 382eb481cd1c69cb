"""How what is known of models is told: versions, replays, agreement, what workers run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from floodwarden.cli_output import console, listing, safe, table, write_json
from floodwarden.errors import CommandError
from floodwarden.model_orders import alive
from floodwarden.training import KINDS
from schemas.model_registry import Registry
from schemas.models import Agreement, Incident, Order, Trial, Version, Word
from schemas.settings import Settings
from stream.models import registered

NO_VERSION: Final = (
    "no version yet: `floodwarden model add FILE`; workers judge by FLOODWARDEN_MODEL, else the shipped one"
)


def plain(value: msgspec.Struct) -> dict[str, Any]:
    """A struct for JSON."""
    out: dict[str, Any] = msgspec.to_builtins(value)
    return out


def tell_list(registry: Registry, *, as_json: bool) -> None:
    """Every version, and what workers say."""
    order, versions = registry.order(), registry.versions()
    trials = {one.version: registry.trial(one.version) for one in versions}
    states = {one.version: _state(one, order, trials[one.version]) for one in versions}
    listing(
        as_json,
        [plain(one) | {"state": states[one.version], "tried": trials[one.version] is not None} for one in versions],
        {
            "version": [str(one.version) for one in versions],
            "state": [states[one.version] for one in versions],
            "model": [one.content for one in versions],
            "from": [one.made_from for one in versions],
            "of": [f"{one.span_s / 3600:.1f} h" for one in versions],
            "added": [_when(one.at_ms) for one in versions],
            "by": [one.author for one in versions],
            "why": [one.reason for one in versions],
        },
        NO_VERSION,
    )
    if not as_json and order.serial:
        _tell_workers(alive(registry.words(), time.time_ns() // 1_000_000), order)


def tell_version(settings: Settings, number: int | None, *, as_json: bool) -> None:
    """One version, the live one without `number`. Raises `CommandError` where there is none, `ArtifactError`."""
    registry = Registry(settings.registry)
    number = number or registry.order().live
    if not number:
        raise CommandError(f"no version is live; {NO_VERSION}")
    version, trial = registry.version(number), registry.trial(number)
    model = registered(settings, number)
    if as_json:
        thresholds = {
            family.name: {kind: round(float(model.h[k, family.index]), 3) for k, kind in enumerate(KINDS)}
            for family in model.families
        }
        told = {"state": _state(version, registry.order(), trial), "thresholds": thresholds}
        write_json(plain(version) | told | {"trial": plain(trial) if trial is not None else None})
        return
    out = console()
    out.print(f"version {number}: model {version.content}, {_state(version, registry.order(), trial)}")
    span = f"{version.span_s / 3600:.1f} h of {safe(version.made_from)}"
    out.print(f"learned from {span}; added {_when(version.at_ms)} by {safe(version.author)}: {safe(version.reason)}")
    cells = [
        (family.name, *(f"{model.h[k, family.index]:.1f}" for k in range(len(KINDS)))) for family in model.families
    ]
    table(("family", "threshold ip", "key", "user (nats)"), cells, "")
    if trial is not None:
        tell_trial(trial)


def tell_trial(trial: Trial) -> None:
    """What a replay showed."""
    total, of = trial.agreement.total, trial.agreement
    what = f"version {trial.version}" if trial.version else f"model {of.shadow}"
    console().print(
        f"{what} on {trial.decisions:,} decisions of {_span(of)} from {safe(trial.source)}, beside the live model "
        f"{trial.against}: {total.both} incidents of both, {total.only_shadow} only with it, {total.only_live} no more"
    )
    _tell_agreement(of, ("would have been hit", "would be spared"))


def tell_comparison(settings: Settings, number: int | None, *, as_json: bool) -> None:
    """How the live model and one in shadow agree. Raises `CommandError` where nothing is known of it."""
    registry = Registry(settings.registry)
    number = number or registry.order().shadow
    if not number:
        raise CommandError("no version is in shadow; set one there with `floodwarden model shadow VERSION`")
    found = registry.agreement(number)
    if found is None:
        raise CommandError(f"no worker has said anything of version {number} yet: they do every ten seconds")
    if as_json:
        write_json({"version": number} | plain(found) | {"total": plain(found.total)})
        return
    total = found.total
    console().print(
        f"version {number} in shadow of {found.live} for {_span(found)}: {total.both} incidents of both, "
        f"{total.only_shadow} only of the shadow, {total.only_live} only of the live model"
    )
    _tell_agreement(found, ("only the shadow", "only the live model"))


def tell_order(order: Order, words: Sequence[Word], *, as_json: bool) -> bool:
    """What was ordered and who has taken it. False where a worker did not."""
    good = all(word.serial >= order.serial and not word.refused for word in words)
    if as_json:
        write_json(plain(order) | {"ok": good, "workers": [plain(word) for word in words]})
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
        out.print("no stream worker has said anything here; those that start take it")


def _tell_agreement(found: Agreement, words: tuple[str, str]) -> None:
    cells = [
        (name, str(counts.both), str(counts.only_shadow), str(counts.only_live))
        for name, counts in sorted(found.by_family.items())
    ]
    table(("family", "both", *words), cells, "nobody was alarmed about by either")
    for word, incidents in zip(words, (found.only_shadow, found.only_live), strict=True):
        for one in incidents:
            console().print(f"{word}: {_incident(one)}")


def _span(found: Agreement) -> str:
    minutes = (found.until_ms - found.from_ms) / 60_000
    return (
        f"{minutes / 60:.1f} h" if minutes >= 100 else f"{minutes:.0f} min" if minutes >= 2 else f"{60 * minutes:.0f} s"
    )


def _incident(one: Incident) -> str:
    when = _when(one.shadow_ms or one.live_ms)
    return f"{one.kind} {safe(one.entity)}, {one.family}, {one.answer}, {when}: {safe(one.sentence)}"


def _state(version: Version, order: Order, trial: Trial | None) -> str:
    if version.version == order.live:
        return "live"
    if version.version == order.shadow:
        return "shadow"
    return "tried" if trial is not None else "registered"


def _when(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")
