"""What is judged and what was learned from: a file each, or made-up days of several seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from floodwarden.errors import CommandError
from floodwarden.formats import Rejects, read
from floodwarden.formats_trace import Labelled, is_attack
from floodwarden.report_text import span_words
from floodwarden.simulate import catalogue
from floodwarden.simulate.config import Attack, SimulationConfig, every_attack
from floodwarden.simulate.generate import simulate
from floodwarden.simulate.world import INVITED

CLEAN_SEED: int = 5
CLEAN_S: float = 86_400.0
BATCH_ROWS: int = 50_000
APART_S: float = 225.0  # from the beginning of an attack to that of the next
Trace = Callable[[Rejects], Iterable[Labelled]]
"""Gives a labelled trace anew, and counts what of it cannot be read."""


@dataclass(frozen=True, slots=True)
class Material:
    """Traces to judge and the clean one to learn from (None: nothing is learned), each given anew when called.

    `allowlist`: whom the operator of that site lets through, in the form of `FLOODWARDEN_ALLOWLIST`.
    """

    name: str
    traces: tuple[Trace, ...]
    clean: Callable[[], Iterator[Labelled]] | None = None
    clean_name: str = ""
    allowlist: str = ""


class Chosen(StrEnum):
    """Which families and cases a made-up trace has; the cases of every day are in each."""

    ALL = "all"
    TUNED = "tuned"
    FIRST_SIGHT = "first-sight"

    def attacks(self) -> tuple[Attack, ...]:
        """Every family of it in every strength."""
        tuned = every_attack() if self is not Chosen.FIRST_SIGHT else ()
        return tuned + (every_attack(first_sight=True) if self is not Chosen.TUNED else ())

    def cases(self) -> frozenset[str]:
        """Its good cases."""
        kept = {Chosen.ALL: None, Chosen.TUNED: False, Chosen.FIRST_SIGHT: True}[self]
        return catalogue.usual_cases() | catalogue.cases(first_sight=kept).keys()


@dataclass(frozen=True, slots=True)
class Trials:
    """Made-up traces of seeds from `first_seed` on, with every family, strength and case that is chosen.

    `duration_s` None: as long as its attacks want to be no denser than one in 225 s. Nothing of first sight is in what
    is learned from: an ordinary day of another seed.
    """

    seeds: int = 5
    first_seed: int = 21
    chosen: Chosen = Chosen.ALL
    duration_s: float | None = None
    requests_per_s: float = 5.0
    clients: int = 2000

    @property
    def span_s(self) -> float:
        """How long each is."""
        return self.duration_s if self.duration_s is not None else APART_S * len(self.chosen.attacks())

    def config(self, seed: int) -> SimulationConfig:
        """What is judged."""
        return SimulationConfig(
            seed=seed,
            duration_s=self.span_s,
            requests_per_s=self.requests_per_s,
            clients=self.clients,
            attacks=self.chosen.attacks(),
            cases=self.chosen.cases(),
            batch_rows=BATCH_ROWS,
        )

    @property
    def clean(self) -> SimulationConfig:
        """What is learned from."""
        return SimulationConfig(
            seed=CLEAN_SEED,
            duration_s=CLEAN_S,
            requests_per_s=self.requests_per_s,
            clients=self.clients,
            batch_rows=BATCH_ROWS,
        )


def of_files(trace: str | Path, train: str | Path | None) -> Material:
    """A labelled trace, and one to learn from, whose attacks are left out."""
    clean = partial(_clean_of, train) if train is not None else None
    return Material(Path(trace).name, (partial(_read, trace),), clean, Path(train).name if train else "")


def simulated(trials: Trials) -> Material:
    """Traces made up as they are judged.

    Raises:
        CommandError: no seeds.
    """
    if trials.seeds < 1:
        raise CommandError("--seeds must be one or more")
    if not trials.span_s:
        raise CommandError(f"--set {trials.chosen}: there is no such family now; tuned or all")
    seeds = range(trials.first_seed, trials.first_seed + trials.seeds)
    long = span_words(round(trials.span_s * 1000))
    many = f"{trials.seeds} made-up traces of {long}, seeds {seeds[0]} to {seeds[-1]}"
    name = many if trials.seeds > 1 else f"a made-up trace of {long}, seed {seeds[0]}"
    # Bound here, not when called: a seed each.
    traces = tuple(partial(_made, trials.config(seed)) for seed in seeds)
    return Material(name, traces, partial(simulate, trials.clean), f"a made-up day, seed {CLEAN_SEED}", INVITED)


def _read(trace: str | Path, rejects: Rejects) -> Iterable[Labelled]:
    return read([trace], rejects=rejects)


def _made(config: SimulationConfig, _: Rejects) -> Iterator[Labelled]:
    return simulate(config)


def _clean_of(trace: str | Path) -> Iterator[Labelled]:
    for part in read([trace], rejects=Rejects()):
        keep = ~is_attack(part.labels)
        yield part if keep.all() else Labelled(part.batch.filter(keep), part.labels[keep])
