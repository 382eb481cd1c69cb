"""What answers in force do to the requests of a trace: to whom, where, and whom they leave alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from itertools import islice
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.action import Action, ActionKind, ActionStatus, TargetKind
from schemas.exempt import Exempt, Known
from schemas.networks import address, client
from stream.networks import network

LIMIT_PER_MINUTE: Final = 120  # what a throttle's factor is taken of: a trace does not say the client's limit
_ABSENT: Final = -1  # the code of no text
_NETWORKS: Final = ("/24", "/48")  # of which a share of bad clients may be answered as one
_NOWHERE: Final = -2  # of a text that is in none of the rows
_COLUMNS: Final = {
    TargetKind.IP: "ip", TargetKind.KEY: "key_id", TargetKind.USER: "user", TargetKind.ROUTE: "route",
}  # fmt: skip
Effects = NDArray[np.int8]


class Effect(IntEnum):
    """What our answers did to a request, from nothing to the strictest."""

    NONE = 0
    THROTTLED = 1
    CHALLENGED = 2
    BARRED = 3  # challenged, and no one there who could answer: `passing`
    DENIED = 4


_EFFECT_OF: Final = {
    ActionKind.THROTTLE: Effect.THROTTLED,
    ActionKind.CHALLENGE: Effect.CHALLENGED,
    ActionKind.DENY: Effect.DENIED,
}


@dataclass(slots=True)
class InForce:
    """Answers in force on clients, by target."""

    by_target: dict[TargetKind, dict[str, list[Action]]] = field(default_factory=lambda: defaultdict(dict))

    def apply(self, action: Action) -> None:
        """Take in one action: a lift ends what it lifts."""
        if action.kind not in _EFFECT_OF or action.target.kind not in _COLUMNS:
            return
        held = self.by_target[action.target.kind].setdefault(action.target.value, [])
        held[:] = [other for other in held if other.uid != action.uid and other.expires_ms > action.created_ms]
        if action.status is ActionStatus.ACTIVE:
            held.append(action)
        if not held:
            del self.by_target[action.target.kind][action.target.value]

    def effects(self, batch: pa.RecordBatch) -> Effects:
        """What is done to each row of `batch`."""
        done = np.zeros(batch.num_rows, np.int8)
        at_ms = batch.column("ts_ms").to_numpy()
        routes = batch.column("route")
        route_of = {text: code for code, text in enumerate(routes.dictionary.to_pylist())}
        route = routes.indices.fill_null(_ABSENT).to_numpy(zero_copy_only=False)
        for kind, column in _COLUMNS.items():
            for mine, actions in self._answered(kind, batch.column(column)):
                for action in actions:
                    now = mine[(at_ms[mine] >= action.created_ms) & (at_ms[mine] < action.expires_ms)]
                    if action.route is not None:
                        now = now[route[now] == route_of.get(action.route, _NOWHERE)]
                    if action.exempt is not None and len(now):
                        now = now[~_spared(action.exempt, batch, now)]
                    if action.kind is ActionKind.THROTTLE:
                        now = now[_beyond(at_ms[now], round(LIMIT_PER_MINUTE * (action.factor or 1)))]
                    done[now] = np.maximum(done[now], _EFFECT_OF[action.kind])
        return done

    def _answered(
        self, kind: TargetKind, texts: pa.DictionaryArray
    ) -> Iterator[tuple[NDArray[np.int64], list[Action]]]:
        """Rows, ascending, of each client of a kind that answers are in force on, and the answers."""
        held = self.by_target.get(kind)
        if not held:
            return
        answered: dict[str, list[int]] = defaultdict(list)
        whole = any(name.endswith(_NETWORKS) for name in held)
        for code, value in enumerate(texts.dictionary.to_pylist()):
            for name in _names(kind, value, whole=whole):
                if name in held:
                    answered[name].append(code)
        if not answered:
            return
        codes = texts.indices.fill_null(_ABSENT).to_numpy(zero_copy_only=False)
        order = np.argsort(codes, kind="stable")
        wanted = np.array([code for some in answered.values() for code in some])
        begins, ends = (np.searchsorted(codes[order], wanted, side).tolist() for side in ("left", "right"))
        spans = iter(zip(begins, ends, strict=True))
        for name, some in answered.items():
            mine = [order[begin:end] for begin, end in islice(spans, len(some))]
            yield mine[0] if len(mine) == 1 else np.sort(np.concatenate(mine)), held[name]


def _beyond(at_ms: NDArray[np.int64], per_minute: int) -> NDArray[np.bool_]:
    """Which of a client's rows, in time order, are beyond `per_minute` in their minute."""
    minute = at_ms // 60_000
    return np.asarray(np.arange(len(minute)) - np.searchsorted(minute, minute) >= per_minute)


def _spared(exempt: Exempt, batch: pa.RecordBatch, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the rows are of those whom an answer leaves alone."""
    known = _known(exempt)
    who = zip(*(batch.column(name).take(pa.array(rows)).to_pylist() for name in ("ip", "user")), strict=True)
    return np.array([known.spares(ip, user) for ip, user in who], np.bool_)


@lru_cache(64)
def _known(exempt: Exempt) -> Known:
    return Known.of(exempt.by, exempt.networks, exempt.marks)


def _names(kind: TargetKind, value: str | None, *, whole: bool) -> set[str]:
    """As what a target names a client: its address, its /64, and its network where `whole` ones are targets."""
    if kind is not TargetKind.IP or not value:
        return {value or ""}
    around = {network(value) or value} if whole else set()
    if ":" not in value:
        return {value} | around
    try:
        return {str(address(value)), client(value)} | around
    except ValueError:
        return {value}
