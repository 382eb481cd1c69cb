"""Attackers that notice: refused, they come back slower, from elsewhere, or both.

    slice ─► rows of attacks moved to their new times and addresses ─► judged ─► refusals told ─► next slice

An address of an attack that was refused three times is given up for a fresh one (and another user agent), and what was
refused is tried again from there. Who slows down doubles the time between his requests whenever thirty of them were
refused, up to sixteenfold; what then comes after the end of the trace does not come.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Flag, auto
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from floodwarden.closed_loop import Judged
from floodwarden.effects import Effect
from floodwarden.errors import CommandError
from floodwarden.formats_trace import Labelled, is_attack

REFUSALS_TO_ROTATE: Final = 3
REFUSALS_TO_SLOW: Final = 30
SLOWER_MAX: Final = 16
RETRY_MS: Final = 5_000
ADDRESSES_MAX: Final = 60_000  # that an attacker has to come from, 198.19.0.0/16
AGENTS: Final = tuple(
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:{n}.0) Gecko/20100101 Firefox/{n}.0" for n in range(110, 142)
)


class Adapt(Flag):
    """What attackers do about being refused."""

    NOTHING = 0
    SLOW = auto()
    ROTATE = auto()


@dataclass(slots=True)
class _Attacker:
    """One incident: how much slower since when, and where its addresses went."""

    slower: int = 1
    since_ms: int = 0  # trace time from which the present slowness holds
    now_ms: int = 0  # the time that was then
    refused: int = 0
    by_address: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    instead: dict[str, str] = field(default_factory=dict)


class Attackers:
    """Between the trace and the closed loop: `come` gives a slice as it comes, `told` hears what became of it."""

    def __init__(self, adapt: Adapt) -> None:
        self._adapt = adapt
        self._all: dict[str, _Attacker] = defaultdict(_Attacker)
        self._waiting: list[Labelled] = []
        self._fresh = 0

    def come(self, part: Labelled, until_ms: int) -> Labelled:
        """The slice with attackers where and when they now are; who is to come after `until_ms` waits."""
        attack = is_attack(part.labels)
        if not self._waiting and not any(label in self._all for label in set(part.labels[attack])):
            return part
        moved = _rows(part, attack)
        if moved.labels.size:
            moved = self._moved(moved)
        theirs = _no_earlier(_merged([*self._waiting, moved]), int(part.batch.column("ts_ms")[0].as_py()))
        due = theirs.batch.column("ts_ms").to_numpy() < until_ms
        self._waiting = [_rows(theirs, ~due)] if not due.all() else []
        return _merged([_rows(part, ~attack), _rows(theirs, due)])

    def told(self, judged: Judged) -> None:
        """What became of a slice."""
        batch, labels = judged.slice
        refused = is_attack(labels) & (judged.effects != Effect.NONE)
        if not refused.any():
            return
        again = []
        at = np.flatnonzero(refused)
        addresses = batch.column("ip").take(pa.array(at)).to_pylist()
        times = batch.column("ts_ms").to_numpy()[at]
        for row, label, address, at_ms in zip(at.tolist(), labels[at], addresses, times.tolist(), strict=True):
            attacker = self._all[label]
            attacker.refused += 1
            if Adapt.SLOW in self._adapt and attacker.refused % REFUSALS_TO_SLOW == 0:
                self._slow(attacker, at_ms)
            if Adapt.ROTATE in self._adapt and address is not None:
                attacker.by_address[address] += 1
                if attacker.by_address[address] == REFUSALS_TO_ROTATE and self._fresh < ADDRESSES_MAX:
                    attacker.instead[address] = self._next_address()
                    again.append(row)
        if again:
            self._retry(judged.slice, np.array(again))

    def _slow(self, attacker: _Attacker, at_ms: int) -> None:
        if attacker.slower >= SLOWER_MAX:
            return
        began_ms = attacker.since_ms + (at_ms - attacker.now_ms) // attacker.slower if attacker.now_ms else at_ms
        attacker.since_ms, attacker.now_ms, attacker.slower = began_ms, at_ms, attacker.slower * 2

    def _retry(self, part: Labelled, at: NDArray[np.intp]) -> None:
        """What was refused comes again a little later from the fresh address."""
        rows = Labelled(part.batch.take(pa.array(at)), part.labels[at])
        later = pa.array(rows.batch.column("ts_ms").to_numpy() + RETRY_MS)
        batch = rows.batch.set_column(0, rows.batch.schema.field("ts_ms"), later)
        self._waiting.append(self._elsewhere(Labelled(batch, rows.labels)))

    def _moved(self, part: Labelled) -> Labelled:
        at_ms = part.batch.column("ts_ms").to_numpy().copy()
        for label in set(part.labels):
            attacker = self._all.get(label)
            if attacker is not None and attacker.slower > 1:
                mine = part.labels == label
                at_ms[mine] = attacker.now_ms + (at_ms[mine] - attacker.since_ms) * attacker.slower
        batch = part.batch.set_column(0, part.batch.schema.field("ts_ms"), pa.array(at_ms))
        return self._elsewhere(Labelled(batch, part.labels))

    def _elsewhere(self, part: Labelled) -> Labelled:
        """Rows from the addresses their attackers come from by now, with another agent where that is a new one."""
        before = part.batch.column("ip").to_pylist()
        now = [self._now_at(label, address) for label, address in zip(part.labels, before, strict=True)]
        if now == before:
            return part
        schema, batch = part.batch.schema, part.batch
        agents = [
            old if new == address else AGENTS[hash_of(new) % len(AGENTS)]
            for old, new, address in zip(batch.column("ua").to_pylist(), now, before, strict=True)
        ]
        for name, texts in (("ip", now), ("ua", agents)):
            column = pa.array(texts, pa.utf8()).dictionary_encode()
            batch = batch.set_column(schema.get_field_index(name), schema.field(name), column)
        return Labelled(batch, part.labels)

    def _now_at(self, label: str, address: str | None) -> str | None:
        instead = self._all[label].instead if label in self._all else {}
        while address in instead:
            address = instead[address]
        return address

    def _next_address(self) -> str:
        self._fresh += 1
        return f"198.19.{self._fresh >> 8 & 0xFF}.{self._fresh & 0xFF}"


def adapt_of(text: str) -> Adapt:
    """`slow`, `rotate`, both by comma, or nothing.

    Raises:
        CommandError: it is none of these.
    """
    adapt = Adapt.NOTHING
    for name in filter(None, map(str.strip, text.split(","))):
        if name.upper() not in Adapt.__members__:
            raise CommandError(f"attackers cannot {name!r}; say slow, rotate, or slow,rotate")
        adapt |= Adapt[name.upper()]
    return adapt


def hash_of(address: str | None) -> int:
    """A small number that is an address's own."""
    return sum(int(part) for part in (address or "0").split(".") if part.isdigit())


def adapted(slices: Iterator[Labelled], attackers: Attackers) -> Iterator[Labelled]:
    """`slices` as attackers who adapt make them; judge each before the next is taken."""
    ahead = next(slices, None)
    while ahead is not None:
        part, ahead = ahead, next(slices, None)
        until = ahead.batch.column("ts_ms")[0] if ahead is not None else part.batch.column("ts_ms")[-1]
        come = attackers.come(part, int(until.as_py()))
        if come.batch.num_rows:
            yield come


def _rows(part: Labelled, mask: NDArray[np.bool_]) -> Labelled:
    return Labelled(part.batch.filter(pa.array(mask)), part.labels[mask])


def _no_earlier(part: Labelled, from_ms: int) -> Labelled:
    at_ms = np.maximum(part.batch.column("ts_ms").to_numpy(), from_ms)
    return Labelled(part.batch.set_column(0, part.batch.schema.field("ts_ms"), pa.array(at_ms)), part.labels)


def _merged(parts: list[Labelled]) -> Labelled:
    """Rows of several parts in the order of time."""
    parts = [part for part in parts if part.batch.num_rows] or parts[:1]
    if len(parts) == 1:
        whole, labels = parts[0].batch, parts[0].labels
    else:
        table = pa.Table.from_batches([part.batch for part in parts]).unify_dictionaries().combine_chunks()
        whole, labels = table.to_batches()[0], np.concatenate([part.labels for part in parts])
    order = np.argsort(whole.column("ts_ms").to_numpy(), kind="stable")
    return Labelled(whole.take(pa.array(order)), labels[order])
