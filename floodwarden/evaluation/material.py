"""What is judged and what was learned from: a file each, or made-up days of several seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from floodwarden.errors import CommandError
from floodwarden.formats import Rejects, read
from floodwarden.formats_trace import Labelled, is_attack
from floodwarden.report_text import span_words
from floodwarden.simulate import catalogue
from floodwarden.simulate.config import SimulationConfig, every_attack
from floodwarden.simulate.generate import simulate

CLEAN_SEED: int = 5
CLEAN_S: float = 86_400.0
BATCH_ROWS: int = 50_000
Trace = Callable[[Rejects], Iterable[Labelled]]
"""Gives a labelled trace anew, and counts what of it cannot be read."""


@dataclass(frozen=True, slots=True)
class Material:
    """Traces to judge and the clean one to learn from (None: nothing is learned), each given anew when called."""

    name: str
    traces: tuple[Trace, ...]
    clean: Callable[[], Iterator[Labelled]] | None = None
    clean_name: str = ""


@dataclass(frozen=True, slots=True)
class Trials:
    """Made-up traces of seeds from `first_seed` on, with every family, strength and case there is.

    Nothing of first sight is in what is learned from: an ordinary day of another seed.
    """

    seeds: int = 5
    first_seed: int = 21
    duration_s: float = 18 * 3600.0
    requests_per_s: float = 5.0
    clients: int = 2000

    def config(self, seed: int) -> SimulationConfig:
        """What is judged."""
        return SimulationConfig(
            seed=seed,
            duration_s=self.duration_s,
            requests_per_s=self.requests_per_s,
            clients=self.clients,
            attacks=every_attack() + every_attack(first_sight=True),
            cases=frozenset(catalogue.cases()),
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
    seeds = range(trials.first_seed, trials.first_seed + trials.seeds)
    long = span_words(round(trials.duration_s * 1000))
    many = f"{trials.seeds} made-up traces of {long}, seeds {seeds[0]} to {seeds[-1]}"
    name = many if trials.seeds > 1 else f"a made-up trace of {long}, seed {seeds[0]}"
    # Bound here, not when called: a seed each.
    traces = tuple(partial(_made, trials.config(seed)) for seed in seeds)
    return Material(name, traces, partial(simulate, trials.clean), f"a made-up day, seed {CLEAN_SEED}")


def _read(trace: str | Path, rejects: Rejects) -> Iterable[Labelled]:
    return read([trace], rejects=rejects)


def _made(config: SimulationConfig, _: Rejects) -> Iterator[Labelled]:
    return simulate(config)


def _clean_of(trace: str | Path) -> Iterator[Labelled]:
    for part in read([trace], rejects=Rejects()):
        keep = ~is_attack(part.labels)
        yield part if keep.all() else Labelled(part.batch.filter(keep), part.labels[keep])
