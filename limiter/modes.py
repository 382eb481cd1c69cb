"""What limits rest on, and every change of it: an event in the log, a metric, and a call to whoever subscribed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import structlog

from limiter.metrics import Metrics
from limiter.verdict import Mode

log = structlog.get_logger("limiter.modes")


@dataclass(frozen=True, slots=True)
class ModeChange:
    """From `was` to `mode` at `at_ms`, after `lasted_ms` of the former.

    `part` is empty for the whole; else the one node of a Redis Cluster (HOST:PORT) whose share of the limits changed.
    `reason` is why limits became local (`deadline`, or the error's name) or shared again (`answered`, or `left` where
    the node is none of the cluster's any more).
    """

    mode: Mode
    was: Mode
    part: str
    reason: str
    lasted_ms: int
    at_ms: int


Listener = Callable[[ModeChange], None]


class Modes:
    """One node's modes. Starts shared."""

    def __init__(self, metrics: Metrics, clock_ms: Callable[[], int]) -> None:
        self._metrics = metrics
        self._clock_ms = clock_ms
        self._began_ms = clock_ms()
        self._local: dict[str, int] = {}  # part -> since when
        self._shared: dict[str, int] = {}
        self._listeners: list[Listener] = []

    @property
    def mode(self) -> Mode:
        """Of the whole."""
        return Mode.LOCAL if "" in self._local else Mode.SHARED

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener` at each change, in the event loop: it must not block. Returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def changed(self, part: str, *, local: bool, reason: str) -> None:
        """`part` is local now, or shared; said again it changes nothing."""
        if local == (part in self._local):
            return
        now_ms = self._clock_ms()
        left, entered = (self._shared, self._local) if local else (self._local, self._shared)
        since_ms = left.pop(part, self._began_ms)
        if local or not part:
            entered[part] = now_ms
        was, mode = (Mode.SHARED, Mode.LOCAL) if local else (Mode.LOCAL, Mode.SHARED)
        self._tell(ModeChange(mode, was, part, reason, max(0, now_ms - since_ms), now_ms))

    def _tell(self, change: ModeChange) -> None:
        self._metrics.mode_changes.labels(change.mode, "part" if change.part else "whole").inc()
        self._metrics.mode.set(self.mode is Mode.LOCAL)
        self._metrics.parts_away.set(sum(bool(part) for part in self._local))
        event = "redis_away" if change.mode is Mode.LOCAL else "redis_back"
        (log.warning if change.mode is Mode.LOCAL else log.info)(event, **asdict(change))
        for listener in tuple(self._listeners):
            try:
                listener(change)
            except Exception:  # a subscriber's fault, in the midst of a check: it must not become the client's
                self._metrics.faults.inc()
                log.exception("listener_fault")
