"""Words -> what is sent at once: each by itself while that is few, and the rest as one digest. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import groupby
from typing import Final

from enforcer.notify.notice import RANK, Event, digest_key, is_digest
from schemas.alert import Severity

BATCH_MAX: Final = 100


class Manner(Enum):
    """How a destination takes much at once.

    READ: people read each message. PAGED: what begins a thread wakes somebody, the rest does not. KEPT: a program
    takes all of it.
    """

    READ = "read"
    PAGED = "paged"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Word:
    """A word that is due. `key` is its thread so far; `begun`: it may be there already, under that."""

    incident: str
    key: str
    event: Event
    severity: Severity
    due_ms: int
    number: int = 0
    begun: bool = False


@dataclass(frozen=True, slots=True)
class Parcel:
    """Words that go together under `key`; those that begin a thread have it from then on. `counts` for the bound."""

    key: str
    words: tuple[Word, ...]
    counts: bool = True


@dataclass(slots=True)
class Sorted:
    """What to send, what needs no word of its own, and what waits for room."""

    parcels: list[Parcel] = field(default_factory=list)
    silent: list[Word] = field(default_factory=list)
    waiting: list[Word] = field(default_factory=list)


def sort_out(words: Sequence[Word], manner: Manner, left: int, known: Mapping[str, int]) -> Sorted:
    """Sort what is due, with room for `left` messages; `known` says how many incidents a digest told, or may have."""
    if manner is Manner.KEPT:
        ordered = sorted(words, key=lambda word: word.due_ms)
        chunks = [tuple(ordered[at : at + BATCH_MAX]) for at in range(0, len(ordered), BATCH_MAX)]
        return Sorted([Parcel(chunk[0].key, chunk, counts=False) for chunk in chunks])
    found = Sorted()
    single = [word for word in words if not is_digest(word.key)]
    for key, group in _by_key(word for word in words if is_digest(word.key)):
        single += _of_digest(key, group, known.get(key, 0), found)
    found.parcels += [Parcel(word.key, (word,)) for word in single if _again(word)]
    single = [word for word in single if not _again(word)]
    counted = [word for word in single if _counts(word, manner)]
    found.parcels += [Parcel(word.key, (word,), counts=False) for word in single if not _counts(word, manner)]
    counted.sort(key=lambda word: (-RANK[word.severity], word.due_ms))
    room = left - sum(parcel.counts for parcel in found.parcels)
    if len(counted) > room:
        alone, rest = counted[: max(0, room - 1)], counted[max(0, room - 1) :]
        if room > 0:
            found.parcels.append(Parcel(digest_key([f"{w.incident} {w.number}" for w in rest]), tuple(rest)))
        else:
            found.waiting.extend(rest)
        counted = alone
    found.parcels += [Parcel(_own(word), (word,)) for word in counted]
    return found


def begins(word: Word) -> bool:
    """Whether it begins a thread, by itself or in a digest."""
    return word.event is Event.OPENED or (word.event is Event.RAISED and is_digest(word.key))


def _of_digest(key: str, group: list[Word], known: int, found: Sorted) -> list[Word]:
    """Words of incidents that share a thread: what of them is to be told singly, the rest goes into `found`."""
    by = Counter(word.event for word in group)
    opened = tuple(word for word in group if word.event is Event.OPENED)
    if opened:
        found.parcels.append(Parcel(key, opened))
    resolved = [word for word in group if word.event is Event.RESOLVED]
    raised = [word for word in group if word.event is Event.RAISED]
    if resolved and by[Event.RESOLVED] == known:
        found.parcels.append(Parcel(key, tuple(resolved)))  # the thread ends with its last
    else:
        found.silent.extend(resolved)
    if raised and by[Event.RAISED] + by[Event.RESOLVED] == known:
        found.parcels.append(Parcel(key, tuple(raised)))
        raised = []
    found.silent.extend(word for word in group if word.event in (Event.ACKNOWLEDGED, Event.STILL))
    return raised


def _again(word: Word) -> bool:
    """Whether its thread may have begun: then it goes on under the same key, and into no digest."""
    return word.begun and word.event is Event.OPENED


def _counts(word: Word, manner: Manner) -> bool:
    return manner is Manner.READ or begins(word)


def _own(word: Word) -> str:
    return word.incident if is_digest(word.key) else word.key


def _by_key(words: Iterable[Word]) -> list[tuple[str, list[Word]]]:
    ordered = sorted(words, key=lambda word: word.key)
    return [(key, list(group)) for key, group in groupby(ordered, key=lambda word: word.key)]
