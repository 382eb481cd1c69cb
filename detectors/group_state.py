"""What is kept about a group, and what it says when it is in alarm."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import log
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.families import Family
from detectors.group_rows import Cell, Place

KNOWN_MIN: Final = 3  # results of established clients, before they say what it is
SURE: Final = 3.0  # nats, twenty to one, before they say it
SHARE_MAX: Final = 0.95
HISTORY_MIN: Final = 30  # opportunities, before a group's own habits are known
ONE_AGENT: Final = 0.9
PLACES: Final = 5  # in a client's life, at which its first mark came: `place_of`
Key = tuple[int, int, int]  # family, kind and value of the group


class Cause(StrEnum):
    """Why so many fail: an attack spares established clients, a fault of ours does not."""

    ATTACK = "attack"
    FAULT = "fault"  # established clients fail as well: a failed deploy, a release
    CLIENT = "client"  # those that fail are one client's installations: an expired token, a bad update
    UNSURE = "unsure"

    @property
    def spares(self) -> bool:
        """Whether nobody is found part of it."""
        return self in (Cause.FAULT, Cause.CLIENT)


def place_of(before: int) -> int:
    """The place in its life of a client that made so many requests before: first, second, third, up to six, later."""
    return bisect((1, 2, 3, 6), before)


@dataclass(slots=True)
class Group:
    """One group in one family. `marks`, `plain`, `members` count since `first_ms`, when evidence left 0."""

    own: list[float] = field(default_factory=lambda: [0.0, 0.0])
    hour: list[float] = field(default_factory=lambda: [0.0, 0.0])
    s: list[float] = field(default_factory=lambda: [0.0, 0.0])
    t_ms: int = 0
    first_ms: int = 0
    marks: int = 0
    plain: int = 0
    members: dict[int, tuple[int, int]] = field(default_factory=dict)  # marks that counted, and since when
    agents: dict[int, int] = field(default_factory=dict)
    places: list[float] = field(default_factory=lambda: [0.0] * PLACES)  # newcomers by place in life of the first mark
    usual: list[float] = field(default_factory=lambda: [0.0] * PLACES)  # the same, of hours without an alarm
    came: list[float] = field(default_factory=lambda: [0.0] * PLACES)  # and of this hour
    known: list[int] = field(default_factory=lambda: [0, 0])  # marks and others of established clients among them
    last_mark_ms: int = 0
    crossed_pane_s: int = 0  # 0: no alarm
    crossed_ms: int = 0
    alarmed: bool = False  # since the last commit
    leader: Place = (0, 0)  # whose campaign it is part of while in alarm
    spared: bool = False  # as what the last alarm was told: nobody is part of it
    seen: set[int] = field(default_factory=set)  # of a network, owners there with a mark or without

    @property
    def evidence(self) -> float:
        """Of the alternative that explains it best."""
        return max(self.s)


@dataclass(frozen=True, slots=True)
class Alarm:
    """A group in alarm, as one pane leaves it: what members are held to, and what people are told."""

    family: Family
    place: Place
    pane_s: int
    crossed_pane_s: int
    crossed_ms: int
    first_ms: int
    last_ms: int
    marks: int
    plain: int
    members: int
    p0: float
    control: float
    evidence: float
    known: tuple[int, int]  # marks of established clients since `first_ms`, and what they did without one
    one_agent: float  # of its marks, the share of the user agent that made most
    places: tuple[tuple[float, ...], tuple[float, ...]]  # newcomers by place of their first mark: now, usually
    history: float  # opportunities its own habits rest on
    leader: Place
    examples: tuple[int, ...]
    seen: int  # clients of a network that had an opportunity

    @property
    def cause(self) -> Cause:
        """What established clients say of it: whether they fare as all do there since the change, or as is usual."""
        marks, plain = self.known
        q = min(SHARE_MAX, self.marks / max(1, self.marks + self.plain))
        if marks + plain < KNOWN_MIN or q <= self.p0:
            return Cause.UNSURE
        as_all = marks * log(q / self.p0) + plain * log((1 - q) / (1 - self.p0))
        if abs(as_all) < SURE:
            return Cause.UNSURE
        if as_all < 0:
            return Cause.ATTACK
        return Cause.CLIENT if self.one_agent >= ONE_AGENT else Cause.FAULT

    def is_like(self, before: int) -> float:
        """Nats, at most 0: how much rarer newcomers' first marks come at such a place in their life than usual.

        Bots come for the one thing, or all by the same way; of people a few have looked round before they fail.
        """
        now, usual = ((some[place_of(before)] + 1) / (sum(some) + PLACES) for some in self.places)
        return min(0.0, log(now / usual))

    @property
    def pi(self) -> float:
        """The share of its marks that is not usual."""
        return _beyond(self.marks, self.plain, self.p0)

    @property
    def pi_known(self) -> float:
        """The same of established clients' marks: where they fare well, next to nothing."""
        return _beyond(*self.known, self.p0)


def _beyond(marks: int, plain: int, p0: float) -> float:
    usual = p0 * plain / (1 - p0)
    return min(0.999, max(0.001, 1 - (usual + 1) / max(marks, 2)))


def alarm_of(family: Family, group: Group, cell: Cell, p0: float) -> Alarm:
    """What a group in alarm says after a pane."""
    return Alarm(
        family=family,
        place=cell.place,
        pane_s=cell.pane_s,
        crossed_pane_s=group.crossed_pane_s,
        crossed_ms=group.crossed_ms,
        first_ms=group.first_ms,
        last_ms=cell.t_ms,
        marks=group.marks,
        plain=group.plain,
        members=len(group.members),
        p0=p0,
        control=cell.control,
        evidence=group.evidence,
        known=(group.known[0], group.known[1]),
        one_agent=max(group.agents.values(), default=0) / max(1, sum(group.agents.values())),
        places=(tuple(group.places), tuple(group.usual)),
        history=sum(group.own),
        leader=group.leader,
        examples=(cell.example,),
        seen=len(group.seen | group.members.keys()),
    )


def arrays_of(held: Mapping[Key, Group], name: str) -> dict[str, NDArray[np.generic]]:
    """Groups as arrays under names that begin with `name`."""
    keys = sorted(held)
    groups = [held[key] for key in keys]
    floats = [[*g.own, *g.hour, *g.s] for g in groups]
    whole = [
        (g.t_ms, g.first_ms, g.marks, g.plain, *g.known, g.last_mark_ms, g.crossed_pane_s, g.crossed_ms) for g in groups
    ]
    members = [(owner, *told) for g in groups for owner, told in sorted(g.members.items())]
    agents = [pair for g in groups for pair in sorted(g.agents.items())]
    seen = [owner for g in groups for owner in sorted(g.seen)]
    sizes = [(len(g.members), len(g.agents), len(g.seen)) for g in groups]
    return {
        f"{name}.key": np.array(keys, np.uint64).reshape(-1, 3),
        f"{name}.sums": np.array(floats, np.float64).reshape(-1, 6),
        f"{name}.counts": np.array(whole, np.int64).reshape(-1, 9),
        f"{name}.flags": np.array([(g.alarmed, g.spared) for g in groups], np.bool_).reshape(-1, 2),
        f"{name}.leader": np.array([g.leader for g in groups], np.uint64).reshape(-1, 2),
        f"{name}.members": np.array(members, np.uint64).reshape(-1, 3),
        f"{name}.agents": np.array(agents, np.uint64).reshape(-1, 2),
        f"{name}.seen": np.array(seen, np.uint64),
        f"{name}.places": np.array([(g.places, g.usual, g.came) for g in groups], np.float64).reshape(-1, 3, PLACES),
        f"{name}.sizes": np.array(sizes, np.int64).reshape(-1, 3),
    }


def groups_of(name: str, arrays: Mapping[str, NDArray[np.generic]]) -> dict[Key, Group]:
    """The inverse of `arrays_of`."""
    parts = [arrays[f"{name}.{part}"].tolist() for part in ("key", "sums", "counts", "flags", "leader", "sizes")]
    members, agents, seen = (iter(arrays[f"{name}.{part}"].tolist()) for part in ("members", "agents", "seen"))
    places = iter(arrays.get(f"{name}.places", np.zeros((len(parts[0]), 3, PLACES))).tolist())
    out: dict[Key, Group] = {}
    for key, sums, counts, (alarmed, spared), leader, (size, agents_n, seen_n) in zip(*parts, strict=True):
        t_ms, first_ms, marks, plain, known, known_plain, last_ms, crossed_s, crossed_ms = counts
        held = Group(sums[:2], sums[2:4], sums[4:], t_ms, first_ms, marks, plain, alarmed=alarmed, spared=spared)
        held.members = {owner: (n, since) for owner, n, since in (next(members) for _ in range(size))}
        held.agents = dict(next(agents) for _ in range(agents_n))
        held.seen = {next(seen) for _ in range(seen_n)}
        held.places, held.usual, held.came = next(places)
        held.last_mark_ms, held.crossed_pane_s, held.crossed_ms = last_ms, crossed_s, crossed_ms
        held.known, held.leader = [known, known_plain], (leader[0], leader[1])
        out[key[0], key[1], key[2]] = held
    return out
