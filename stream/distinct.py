"""How many distinct addresses, users, routes, paths and user agents entities had to do with, in any window of an hour.

Up to `usage.ITEMS_EXACT_MAX` values of an entity in an hour are counted one by one; who had more is estimated from
cells (`stream.cells`) until it was silent for an hour. What stands here follows from the blocks and their order alone.
It is bounded in bytes: what is an hour old goes every ten minutes of event time, and when it is still too much,
entities go (`detectors.eviction`) and begin at nought when they come back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from detectors import eviction
from detectors.columns import Flows
from detectors.compiled import unwritten, within
from schemas.usage import ITEM_WORDS, WORDS, Block, Kind, Outcome, What
from stream import dated, dated_entries
from stream.cells import marks
from stream.compiled import I32, I64, U8
from stream.dated import CELLED, F64, LIVE, NUMBERS, PAGES, USED, WHATS, WORDS_OF
from stream.dated_entries import ENTRIES
from stream.grouping import U64
from stream.rings import HELD_S

Alive = Callable[[Kind], U64]
SWEEP_S: Final = 600
BYTES_MAX: Final = 128 << 20
ENTRY_BYTES: Final = 104
_HEAP_MIN: Final = 1 << 12
_FACTS: Final = 4  # of an entry: kind, entity, last second, rows
_BY_ENTRY: Final = ("_keys", "_facts", "_forms", "_refs")


def marks_of(items: pa.RecordBatch) -> int:
    """As how many marks items count in `fits`: three words of cells make a set as large as 48 marks do."""
    words = int(np.count_nonzero(items.column("what").to_numpy() >= WORDS))
    return int(items.num_rows) + 15 * words


@dataclass(frozen=True, slots=True)
class _Seen:
    """A block with its flows, and how far event time has come with it."""

    end_s: int
    flows: Flows
    block: Block

    def items(self, name: str) -> NDArray[Any]:
        found: NDArray[Any] = self.block.items.column(name).to_numpy()
        return found

    def counts(self, name: str) -> NDArray[Any]:
        found: NDArray[Any] = self.block.counts.column(name).to_numpy()
        return found

    def in_time(self, at_s: I64) -> I64:
        """-1 for what was too old when the block came."""
        return np.where(at_s < self.end_s - HELD_S, -1, at_s)


class Distinct:
    """Sets of all entities of one usage partition, in `bytes_max` together; a little more until a block is over."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._end_s = 0
        self._swept_s = 0
        self.evicted = 0
        self._n = np.zeros(NUMBERS, np.int64)
        self._heap = np.zeros(_HEAP_MIN, np.uint64)
        self._columns(256)
        self._find_anew()

    def __len__(self) -> int:
        """Number of entities held."""
        return int(self._n[ENTRIES])

    def bytes(self) -> int:
        """What they take."""
        return len(self) * ENTRY_BYTES + 8 * int(self._n[LIVE])

    def fits(self, marks_max: int) -> bool:
        """Whether so many more marks push nobody out, whatever they are."""
        pages, size = self._n[PAGES:], marks_max
        grown = [min(size, int(pages[form - 1]) + size // part) for form, part in ((3, 3), (4, 12), (CELLED, 48))]
        words = 4 * size + sum(g * int(WORDS_OF[form]) for g, form in zip(grown, (3, 4, CELLED), strict=True))
        return self.bytes() + size * ENTRY_BYTES + 8 * words <= self._bytes_max

    def see(self, seen: Sequence[tuple[Flows, Block]], alive: Alive) -> None:
        """Take in blocks in their order, each with its flows as read. Those that nothing is swept between, together."""
        for run in self._runs(seen):
            self._come_to(run[-1].end_s)
            since_s = run[0].end_s - HELD_S
            self._flows(run, since_s)
            self._items(run, since_s)
            if self.bytes() > self._bytes_max:
                self._evict(alive)

    def _runs(self, seen: Sequence[tuple[Flows, Block]]) -> Iterator[list[_Seen]]:
        run: list[_Seen] = []
        end_s = self._end_s
        for flows, block in seen:
            end_s = max(end_s, block.ts_ms_max // 1000 + 1)
            if run and end_s // SWEEP_S > run[-1].end_s // SWEEP_S:
                yield run
                run = []
            run.append(_Seen(end_s, flows, block))
        if run:
            yield run

    def put(self, entities: U64, what: What, values: U64, at_s: int, alive: Alive) -> None:
        """Take in what entities, as of `Kind.IP`, had to do with in one second: a value (not 0) each."""
        self._come_to(at_s + 1)
        kind, since_s = np.zeros(len(entities), np.uint8), self._end_s - HELD_S
        entry = self._placed(kind, entities, np.full(len(entities), at_s), since_s)
        whats, at = np.full(len(entry), what, np.uint8), np.full(len(entry), at_s)
        self._all(partial(dated.put, entry=entry, what=whats, item=marks(values), at_s=at), len(entry))
        if self.bytes() > self._bytes_max:
            self._evict(alive)

    def count(self, kind: Kind, entities: U64, what: What, since_s: int) -> F64:
        """Distinct values of each entity in `since_s` and later."""
        entry = dated_entries.found(np.full(len(entities), kind, np.uint8), entities, self._index, self._keys)
        return dated.counted(entry, what, since_s, self._sets)

    def _come_to(self, end_s: int) -> None:
        self._end_s = max(self._end_s, end_s)
        if self._end_s // SWEEP_S > self._swept_s // SWEEP_S:
            self._swept_s = self._end_s
            self._keep(np.arange(len(self)), self._end_s // SWEEP_S * SWEEP_S - HELD_S)

    def _flows(self, run: list[_Seen], since_s: int) -> None:
        # The second itself, for late rows are evidence in another; a block that lies names none that is to come.
        at_s = _one([one.in_time(np.minimum(one.flows.last_ms // 1000, one.end_s)) for one in run])
        flows = Flows.concat([one.flows for one in run])
        if (flows.kind == Kind.USER).any():  # logins again, under their account
            kept = flows.kind != Kind.USER
            flows, at_s = flows.take(kept), at_s[kept]
        entry = self._placed(np.array(flows.kind), np.array(flows.entity), at_s, since_s)  # copies: to be written to
        first = np.where(flows.kind == Kind.KEY, What.ADDRESS, What.USER).astype(np.uint8)
        let_in = np.where(flows.outcome == Outcome.LIMITED, np.uint64(0), flows.user)  # as `uniques.LET_IN` says
        columns = (flows.ip, let_in, flows.route, flows.path, flows.agent)
        hashes = tuple(unwritten(each) for each in columns)
        self._all(partial(dated.put_flows, entry=entry, first=first, at_s=at_s, hashes=hashes), len(entry))

    def _items(self, run: list[_Seen], since_s: int) -> None:
        sizes = [one.block.counts.num_rows for one in run]
        before = np.cumsum([0, *sizes[:-1]])
        row = _one([one.items("row").astype(np.int64) + n for one, n in zip(run, before.tolist(), strict=True)])
        what, item = (_one([one.items(name) for one in run]) for name in ("what", "item"))
        used = np.zeros(sum(sizes), np.bool_)
        used[row] = True
        of = np.flatnonzero(used)
        place = np.zeros(len(used), np.int64)
        place[of] = np.arange(len(of))
        kind, entity = (_one([one.counts(name) for one in run])[of] for name in ("kind", "hash"))
        pane_s = _one([one.in_time(one.counts("pane_s")) for one in run])[of]
        entry, at_s = self._placed(kind, entity, pane_s, since_s)[place[row]], pane_s[place[row]]
        plain, word = what < len(What), what >= WORDS
        marks_of = {"entry": entry[plain], "what": what[plain], "item": item[plain], "at_s": at_s[plain]}
        self._all(partial(dated.put, **marks_of), int(plain.sum()))
        of, number = np.divmod(what[word] - np.uint8(WORDS), np.uint8(ITEM_WORDS))
        words_of = {"entry": entry[word], "what": of, "number": number, "item": item[word], "at_s": at_s[word]}
        self._all(partial(dated.put_words, **words_of), int(word.sum()))

    @property
    def _sets(self) -> dated.Sets:
        return self._forms, self._refs, self._heap, self._n

    def _placed(self, kind: U8, entity: U64, at_s: I64, since_s: int) -> I32:
        self._reserve(len(self) + len(entity))
        state = self._index, self._keys, self._facts, self._n
        return dated_entries.placed(kind, entity, at_s, since_s, *state)

    def _all(self, put: Callable[..., int], rows: int) -> None:
        """Go on until every row found room."""
        done = 0
        while (done := put(done, sets=self._sets)) < rows:
            held, self._heap = (
                self._heap,
                np.zeros(2 * len(self._heap), np.uint64),
            )  # what nobody writes takes no memory
            self._heap[: len(held)] = held

    def _reserve(self, entries: int) -> None:
        have, size = len(self._keys), len(self)
        if entries <= have:
            return
        held = {name: getattr(self, name)[:size] for name in _BY_ENTRY}
        self._columns(max(entries, 2 * have))
        for name, array in held.items():
            getattr(self, name)[:size] = array
        self._find_anew()

    def _columns(self, entries: int) -> None:
        """Room for so many entries, nothing in it."""
        self._keys = np.zeros(entries, np.uint64)
        self._facts = np.zeros((entries, _FACTS), np.int64)
        self._forms = np.zeros((entries, WHATS), np.uint8)
        self._refs = np.zeros((entries, WHATS), np.uint64)

    def _find_anew(self) -> None:
        self._index = np.full(1 << (2 * len(self._keys)).bit_length(), -1, np.int32)
        dated_entries.indexed(self._keys, len(self), self._index)

    def _evict(self, alive: Alive) -> None:
        """Let entities go, those least worth keeping, until three quarters are left."""
        size, words = len(self), WORDS_OF[self._forms[: len(self)]].sum(axis=1)
        kind, entity, last_s, weight = self._facts[:size].T
        evidence = np.zeros(size)
        for each in (Kind.IP, Kind.KEY):
            of_kind = np.flatnonzero(kind == each)
            evidence[of_kind] = within(entity[of_kind].view(np.uint64), alive(each))
        taken = ENTRY_BYTES + 8 * words
        room = max(1, size * self._bytes_max // max(1, int(taken.sum())))
        left = weight.copy()
        none, left_to = np.zeros(size, np.bool_), eviction.Room(size, taken, int(self._bytes_max * eviction.LEAVE))
        stay = eviction.staying(self._keys[:size], left, last_s, evidence, none, room, left_to)
        self._facts[:size, 3] = left
        self.evicted += size - len(stay)
        self._keep(stay, 0)

    def _keep(self, entries: I64, since_s: int) -> None:
        """Only these entries, and of them what was seen in `since_s` or later; who has nothing left goes."""
        entries = entries[self._facts[entries, 2] >= since_s]
        old = self._sets
        held = {name: getattr(self, name)[entries] for name in ("_keys", "_facts")}
        words = int(WORDS_OF[self._forms[entries]].sum())  # no less than what stays takes
        self._columns(len(entries) * 5 // 4 + 256)
        self._heap, self._n = np.zeros(words + _HEAP_MIN, np.uint64), np.zeros(NUMBERS, np.int64)
        self._n[ENTRIES] = len(entries)
        for name, array in held.items():
            getattr(self, name)[: len(entries)] = array
        dated.moved(entries, since_s, old, self._sets)
        self._find_anew()

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything, for a snapshot."""
        size = len(self)
        out: dict[str, NDArray[np.generic]] = {name[1:]: getattr(self, name)[:size] for name in _BY_ENTRY}
        out |= {"heap": self._heap[: int(self._n[USED])], "n": self._n}
        return out | {"clock": np.array([self._end_s, self._swept_s, self.evicted])}

    @classmethod
    def restore(cls, bytes_max: int, arrays: dict[str, NDArray[np.generic]]) -> Distinct:
        """The inverse of `arrays`."""
        made = cls(bytes_max)
        made._n = arrays["n"].astype(np.int64)
        size = len(made)
        made._columns(size + 256)
        for name in _BY_ENTRY:
            getattr(made, name)[:size] = arrays[name[1:]]
        made._heap = np.append(arrays["heap"].astype(np.uint64), np.zeros(_HEAP_MIN, np.uint64))
        made._end_s, made._swept_s, made.evicted = (int(v) for v in arrays["clock"])
        made._find_anew()
        return made


def _one(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
