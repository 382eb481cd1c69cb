"""How two models agree that judge the same traffic: incidents that both find, or one alone.

    live     x...x...x                      x
    shadow       x......x                           x
             |<-- one incident: both -->|   |<--->| |<--- only the shadow
                                             only live, once quiet for 20 minutes

An incident is an entity and a family until both models have been silent about it for twenty minutes of event time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from detectors.columns import Finding
from schemas.models import SHOWN_MAX, Agreement, Counts, Incident
from schemas.usage import Kind
from stream.episodes import QUIET_MS, Names

OPEN_MAX: Final = 32_768
_VALUE_CHARS_MAX: Final = 512
_Key = tuple[int, int, str]
_State = tuple[Agreement, list[tuple[_Key, Incident]]]


class Tally:
    """Incidents of a live model and another, counted as they end. Of more than `OPEN_MAX` the quietest end first."""

    def __init__(self, live: str, shadow: str, from_ms: int) -> None:
        self._done = Agreement(live, shadow, from_ms, from_ms, {}, [], [])
        self._open: dict[_Key, Incident] = {}

    @property
    def about(self) -> tuple[str, str]:
        """The live model and the other, as alerts call them."""
        return self._done.live, self._done.shadow

    def take(self, live: Sequence[Finding], shadow: Sequence[Finding], until_ms: int, names: Names) -> None:
        """What each model said of the panes before `until_ms` that it had not said before."""
        wanted = {finding.entity for finding in (*live, *shadow)}
        texts = names(wanted) if wanted else {}
        for finding in live:
            one = self._incident(finding, texts)
            one.live_ms = one.live_ms or finding.last_ms
        for finding in shadow:
            one = self._incident(finding, texts)
            one.shadow_ms = one.shadow_ms or finding.last_ms
        for key in [key for key, one in self._open.items() if one.last_ms + QUIET_MS <= until_ms]:
            self._end(key)
        self._done.from_ms = self._done.from_ms or until_ms
        self._done.until_ms = max(self._done.until_ms, until_ms)

    def report(self) -> Agreement:
        """All until now: incidents that have ended, and open ones as they stand."""
        out: Agreement = msgspec.convert(msgspec.to_builtins(self._done), Agreement)
        for one in sorted(self._open.values(), key=lambda one: one.last_ms):
            _count(out, one)
        return out

    def dump(self) -> bytes:
        """Everything, for a snapshot."""
        state: _State = (self._done, list(self._open.items()))
        return msgspec.msgpack.encode(state)

    @classmethod
    def load(cls, data: bytes) -> Tally:
        """The inverse of `dump`."""
        done, held = msgspec.msgpack.decode(data, type=_State)
        made = cls(done.live, done.shadow, done.from_ms)
        made._done, made._open = done, dict(held)
        return made

    def _incident(self, finding: Finding, texts: Mapping[int, str]) -> Incident:
        key = (finding.kind, finding.entity, finding.family)
        one = self._open.get(key)
        if one is not None and one.last_ms + QUIET_MS <= finding.at_s * 1000:
            self._end(key)
            one = None
        if one is None:
            if len(self._open) >= OPEN_MAX:
                self._end(min(self._open, key=lambda each: (self._open[each].last_ms, each)))
            name = texts.get(finding.entity, f"#{finding.entity:016x}")[:_VALUE_CHARS_MAX]
            said = finding.facts[0].sentence if finding.facts else f"evidence of {finding.family}"
            kind = Kind(finding.kind).name.lower()
            one = self._open[key] = Incident(kind, name, finding.family, 0, 0, finding.last_ms, finding.answer, said)
        one.last_ms = max(one.last_ms, finding.last_ms)
        return one

    def _end(self, key: _Key) -> None:
        _count(self._done, self._open.pop(key))


def _count(into: Agreement, one: Incident) -> None:
    counts = into.by_family.setdefault(one.family, Counts())
    if one.live_ms and one.shadow_ms:
        counts.both += 1
        return
    if one.live_ms:
        counts.only_live += 1
        shown = into.only_live
    else:
        counts.only_shadow += 1
        shown = into.only_shadow
    shown.insert(0, one)
    del shown[SHOWN_MAX:]
