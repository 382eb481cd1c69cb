"""Rows of open panes that a family could mark: what a look counts (`outlook`), in one pass over rows and families."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.chances import of_kind
from detectors.columns import LIMITED, USER, Flows
from detectors.compiled import compiled
from detectors.families import UNTIL_THE_HOUR, Each, Families, New
from detectors.memories import Memories
from detectors.pairs import mix
from detectors.sight import MEMORY, kinds_of, value_of

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
_MANY: Final = 1 << 16  # of one row: no evidence stands so high, and sums have room
_REQUEST, _RETURN, _LOGIN, _ADDRESS, _LIMITED, _NEVER = (np.uint64(1 << bit) for bit in range(6))
_LOOKS_AT: Final = {
    Each.REQUEST: _REQUEST,
    Each.RETURN: _RETURN,
    Each.LOGIN: _LOGIN,
    Each.CREDENTIAL: _LOGIN,
    Each.ADDRESS: _ADDRESS,
    Each.REFUSAL: _LIMITED,
    Each.PENALTY: _LIMITED,
    Each.TURN: _NEVER,  # what comes again is in no hurry: when panes close
    Each.MINUTE: _NEVER,
}
_NEW: Final = {thing: np.uint64(1 << (8 + at)) for at, thing in enumerate(New)}
_TO_ANYONE: Final = np.uint64(1 << (8 + len(New)))


@dataclass(frozen=True, slots=True)
class Markable:
    """Families as columns. `bits`: all that a row has to be, of kind, opportunity and what is new, for a mark."""

    family: I64
    bits: U64
    kinds: U64  # a bit for each kind it is about
    outcomes: U64
    tags: U64  # bits of `Flows.tags`
    once: NDArray[np.bool_]  # of like requests at once each is part of one
    kinds_of: dict[New, list[int]]  # for whom it is remembered what is new

    @classmethod
    def of(cls, families: Families) -> Markable:
        """Those that one entity's evidence may suffice for."""
        mine = [family for family in families if family.alone]
        return cls(
            np.array([family.index for family in mine], np.int64),
            np.array([_LOOKS_AT[f.each] | _new(f.mark.new, to_anyone=f.mark.to_anyone) for f in mine], np.uint64),
            np.array([sum(1 << kind for kind in family.about) for family in mine], np.uint64),
            np.array([sum(1 << outcome for outcome in family.mark.outcomes) for family in mine], np.uint64),
            np.array([sum(1 << tag for tag in {f.tag, f.mark.tag} - {-1}) for f in mine], np.uint64),
            np.array([f.mark.new is not None or f.each is Each.PENALTY for f in mine], np.bool_),
            {thing: kinds_of(families, name) for thing, name in MEMORY.items() if thing not in UNTIL_THE_HOUR},
        )

    def marks(self, flows: Flows, memories: Memories) -> tuple[I64, I64, I32]:
        """Rows that a family could mark, which family, and how often at most."""
        bits = self._bits(flows, memories)
        return _marks(
            (bits, flows.kind, flows.outcome, flows.tags, flows.n),
            (self.family, self.bits, self.kinds, self.outcomes, self.tags, self.once),
        )

    def _bits(self, flows: Flows, memories: Memories) -> U64:
        """What each row is: an opportunity of which kinds, and what in it is new to its owner."""
        limited = flows.outcome == LIMITED
        plain = ~limited & ~flows.login & (flows.kind != USER)
        owner = mix(flows.entity, flows.kind.astype(np.uint64))
        bits = np.where(limited, _LIMITED, np.where(flows.login, _LOGIN, np.uint64(0)))
        at = np.flatnonzero(plain)
        bits[at] |= _REQUEST
        path = ~memories.paths.contains(mix(owner[at], flows.path[at]))
        bits[at] |= np.where(path, _NEW[New.PATH], _RETURN)  # what it first asks for in these panes waits
        at = at[path]
        bits[at[~memories.anyone.contains(mix(flows.path[at]))]] |= _TO_ANYONE
        for thing, kinds in self.kinds_of.items():
            value = value_of(flows, thing)
            at = np.flatnonzero(of_kind(flows.kind, kinds) & ~limited & (value != 0))
            at = at[~memories.by_owner(MEMORY[thing]).contains(mix(owner[at], value[at]))]
            bits[at] |= _NEW[thing] | (_ADDRESS if thing is New.IP else np.uint64(0))
        return bits


def _new(thing: New | None, *, to_anyone: bool) -> np.uint64:
    if thing is None:
        return np.uint64(0)
    return _TO_ANYONE if to_anyone else _NEW[thing]  # nobody sets it of `UNTIL_THE_HOUR`: it waits


@compiled
def _marks(
    rows: tuple[U64, NDArray[np.uint8], NDArray[np.uint8], U64, I64],
    families: tuple[I64, U64, U64, U64, U64, NDArray[np.bool_]],
) -> tuple[I64, I64, I32]:
    bits, kind, outcome, tags, n = rows
    index, wanted, kinds, outcomes, tagged, once = families
    room = max(64, len(bits))
    row, family, many, count = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int32), 0
    one = np.uint64(1)
    for i in range(len(bits)):
        of_kind, of_outcome = one << np.uint64(kind[i]), one << np.uint64(outcome[i])
        for f in range(len(wanted)):
            if (
                bits[i] & wanted[f] != wanted[f]
                or not kinds[f] & of_kind
                or not outcomes[f] & of_outcome
                or tags[i] & tagged[f] != tagged[f]
            ):
                continue
            if count == len(row):
                row, family = np.concatenate((row, row)), np.concatenate((family, family))
                many = np.concatenate((many, many))
            row[count], family[count] = i, index[f]
            many[count] = 1 if once[f] else min(n[i], _MANY)
            count += 1
    return row[:count], family[:count], many[:count]
