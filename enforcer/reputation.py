"""Lists of bad addresses that others publish: read, and brought in line with what stands from them. Pure.

A list is plain (an address or network a line; what follows it is a note, `#` or `;` begins a comment) or CSV with a
header that has `value` (or `ip`, `address`, `network`, `cidr`), and may have `weight` 0 to 100, `expires` (ISO 8601 or
epoch seconds) and `reason`.
"""

from __future__ import annotations

import csv
import re
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Final

from enforcer.drafts import lifted
from enforcer.guardrails import Allowlist
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind
from schemas.networks import network
from schemas.targets import plain

ENTRIES_MAX: Final = 500_000
WEIGHT_MAX: Final = 100
OWNER: Final = "import:"
_WIDEST: Final = {4: 8, 6: 16}  # a shorter prefix is a mistake, or an outage
_OWN: Final = tuple(
    ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10",
                 "0.0.0.0/8", "224.0.0.0/3", "::/127", "fc00::/7", "fe80::/10", "ff00::/8")
)  # fmt: skip
_NAMES: Final = ("value", "ip", "address", "network", "cidr")
_PLAIN: Final = re.compile(r"\s*([0-9a-fA-F:.]+(?:/\d{1,3})?)\s*[,;\s#]*(.*)")
_NOTE_CHARS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Listed:
    """One line: whom it lists, how surely (0 to 100), until when (None: as long as the list is good), and why."""

    target: Target
    weight: int
    until_ms: int | None
    note: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What becomes of an entry: denied from weight `deny_from` on, else challenged from `challenge_from` on."""

    seconds: int
    deny_from: int = 75
    challenge_from: int = 40
    private: bool = False


@dataclass(slots=True)
class Sync:
    """What makes the actions of a source equal to its list. `left_out` counts entries by why nothing comes of them."""

    add: list[Action] = field(default_factory=list)
    lift: list[Action] = field(default_factory=list)
    kept: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def read(lines: Iterable[str], name: str, weight: int = WEIGHT_MAX) -> tuple[list[Listed], list[str]]:
    """The entries of a list, and a sentence for each line that is none: `NAME:LINE: why`.

    `weight` is that of entries which have none of their own.
    """
    found: dict[str, Listed] = {}
    bad: list[str] = []
    for number, row in _rows(lines):
        try:
            entry = _entry(row, weight)
        except ValueError as error:
            bad.append(f"{name}:{number}: {error}")
            continue
        if len(found) >= ENTRIES_MAX and entry.target.key not in found:
            bad.append(f"{name}:{number}: more than {ENTRIES_MAX:,} entries; split the list by source")
            break
        before = found.get(entry.target.key)
        if before is None or before.weight <= entry.weight:
            found[entry.target.key] = entry
    return list(found.values()), bad


def sync(
    listed: Sequence[Listed], standing: Iterable[Action], allowed: Allowlist, source: str, rules: Rules, now_ms: int
) -> Sync:
    """What to begin and to lift so that `source` restricts those it lists, and nobody else.

    An action that is to last for more than half of what it would get anew is left as it is; one that runs out sooner is
    followed by another. What `allowed` covers is left alone.
    """
    owner, made = OWNER + source, Sync()
    has = {(a.target.key, a.kind): a for a in standing if a.owner == owner}
    wanted: set[tuple[str, ActionKind]] = set()
    for entry in listed:
        kind = _kind(entry, rules)
        until_ms = min(entry.until_ms or (now_ms + rules.seconds * 1000), now_ms + rules.seconds * 1000)
        if kind is None or until_ms <= now_ms:
            made.left_out["weight" if kind is None else "expired"] += 1
            continue
        if why := _protected(entry.target, allowed, rules):
            made.left_out[why] += 1
            continue
        wanted.add((entry.target.key, kind))
        stands = has.get((entry.target.key, kind))
        if stands is not None and 2 * (stands.expires_ms - now_ms) > until_ms - now_ms:
            made.kept += 1
        else:
            made.add.append(_action(entry, kind, owner, until_ms, now_ms))
    made.lift = [
        lifted(a.model_copy(update={"version": 0}), now_ms, owner, f"no longer listed by {source}")
        for place, a in has.items()
        if place not in wanted
    ]
    return made


def _rows(lines: Iterable[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Lines that say something, by number, as named fields."""
    header: list[str] | None = None
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("\ufeff")
        if not text or text[0] in "#;":
            continue
        if header is None:
            words = [word.strip().lower() for word in next(csv.reader([text]))]
            header = words if set(words) & set(_NAMES) else []
            if header:
                continue
        if header:
            yield number, dict(zip(header, (cell.strip() for cell in next(csv.reader([text]))), strict=False))
        else:
            match = _PLAIN.match(text)
            yield number, {"value": match[1], "reason": match[2]} if match else {"value": text}


def _entry(row: Mapping[str, str], weight: int) -> Listed:
    value = next((row[name] for name in _NAMES if row.get(name)), "")
    try:
        addresses = network(value)
    except ValueError:
        raise ValueError(f"{value[:60]!r} is no address or network") from None
    if addresses.prefixlen < _WIDEST[addresses.version]:
        raise ValueError(f"{addresses} is wider than /{_WIDEST[addresses.version]}: it would deny too many")
    own = row.get("weight", "")
    if own and not (own.isdigit() and int(own) <= WEIGHT_MAX):
        raise ValueError(f"weight {own[:20]!r} is no number from 0 to {WEIGHT_MAX}")
    target = Target(kind=TargetKind.IP, value=plain(addresses))
    note = row.get("reason", "").strip()[:_NOTE_CHARS_MAX]
    return Listed(target, int(own) if own else weight, _time_ms(row.get("expires", "")), note)


def _time_ms(text: str) -> int | None:
    if not text:
        return None
    if text.isdigit():
        return int(text) * 1000
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"expires {text[:40]!r} is no time; like 2026-01-31T12:00:00Z, or epoch seconds") from None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def _kind(entry: Listed, rules: Rules) -> ActionKind | None:
    if entry.weight >= rules.deny_from:
        return ActionKind.DENY
    return ActionKind.CHALLENGE if entry.weight >= rules.challenge_from else None


def _protected(target: Target, allowed: Allowlist, rules: Rules) -> str:
    """Why nothing may be done to `target`; empty where something may."""
    addresses = network(target.value)
    if not rules.private and any(own.version == addresses.version and addresses.overlaps(own) for own in _OWN):
        return "private"
    return "allowed" if allowed.covering(target) else ""


def _action(entry: Listed, kind: ActionKind, owner: str, until_ms: int, now_ms: int) -> Action:
    note = f": {entry.note}" if entry.note else ""
    return Action(
        uid=uuid.uuid4().hex, kind=kind, status=ActionStatus.ACTIVE, target=entry.target, owner=owner,
        reason=f"listed by {owner.removeprefix(OWNER)}, weight {entry.weight}{note}",
        created_ms=now_ms, expires_ms=until_ms,
    )  # fmt: skip
