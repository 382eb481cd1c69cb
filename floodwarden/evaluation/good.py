"""What became of good traffic: by hard case and by population, with what that says about the share to expect."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from floodwarden.effects import Effect, Effects
from floodwarden.evaluation.bounds import Share

ORDINARY: Final = "ordinary"
ESTABLISHED_REQUESTS: Final = 20
ESTABLISHED_MS: Final = 3_600_000
POPULATIONS: Final = ("newcomer", "established", "machine")
HARMS: Final = {
    "denied": (Effect.DENIED,),
    "challenged": (Effect.CHALLENGED, Effect.BARRED),
    "throttled": (Effect.THROTTLED,),
    "refused": (Effect.BARRED, Effect.DENIED),  # who is kept out: denied, or asked what no program can answer
}


@dataclass(slots=True)
class Fate:
    """Decisions about some good clients, and how many of them each effect befell."""

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(Effect), np.int64))

    def take(self, effects: Effects) -> None:
        """Count rows."""
        self.counts += np.bincount(effects, minlength=len(Effect))

    def add(self, other: Fate) -> None:
        """Count what `other` counted."""
        self.counts += other.counts

    @property
    def decisions(self) -> int:
        """How many there were."""
        return int(self.counts.sum())

    def hit(self, harm: str) -> int:
        """How many a harm of `HARMS` befell."""
        return int(self.counts[list(HARMS[harm])].sum())

    def share(self, harm: str) -> Share:
        """Of all of them, those it befell."""
        return Share(self.hit(harm), self.decisions)

    def record(self) -> dict[str, Any]:
        """As the object of `--json` has it."""
        told: dict[str, Any] = {"decisions": self.decisions}
        for name in HARMS:
            share = self.share(name)
            told[name] = share.hit
            told[f"{name}_bounds_95"] = [share.lower, share.upper]
        return told


@dataclass(slots=True)
class Good:
    """All good traffic of a trace.

    Populations: `machine` has an API key; `established` is an address with twenty good requests over more than an hour.
    """

    by_case: dict[str, Fate] = field(default_factory=lambda: defaultdict(Fate))
    by_population: dict[str, Fate] = field(default_factory=lambda: {name: Fate() for name in POPULATIONS})
    _lives: dict[str, tuple[int, int]] = field(default_factory=dict)  # address: first seen, requests

    def take(self, batch: pa.RecordBatch, effects: Effects, codes: NDArray[np.intp], labels: list[str]) -> None:
        """Count a slice's rows; `codes` are their positions in `labels`."""
        good = np.array([not label.startswith("attack/") for label in labels])[codes]
        for number, label in enumerate(labels):
            if not label.startswith("attack/"):
                self.by_case[case_of(label)].take(effects[codes == number])
        population = self._populations(batch, good)
        for number, name in enumerate(POPULATIONS):
            self.by_population[name].take(effects[good & (population == number)])

    def _populations(self, batch: pa.RecordBatch, good: NDArray[np.bool_]) -> NDArray[np.int8]:
        at_ms = batch.column("ts_ms").to_numpy()
        ip = batch.column("ip")
        codes = ip.indices.fill_null(len(ip.dictionary)).to_numpy(zero_copy_only=False)
        known = np.zeros(len(ip.dictionary) + 1, np.bool_)
        counts = np.bincount(codes[good], minlength=len(known)).tolist()
        now_ms = int(at_ms[-1])
        for code, value in enumerate(ip.dictionary.to_pylist()):
            first_ms, n = self._lives.get(value, (now_ms, 0))
            known[code] = n >= ESTABLISHED_REQUESTS and now_ms - first_ms > ESTABLISHED_MS
            self._lives[value] = first_ms, n + counts[code]
        keyed = ~batch.column("key_id").indices.is_null().to_numpy(zero_copy_only=False)
        return np.where(keyed, 2, known[codes]).astype(np.int8)


def case_of(label: str) -> str:
    """A good row's case, `ordinary` where its label is empty."""
    return label.removeprefix("benign/") or ORDINARY
