"""Families and good cases made once each, in time order, and what is asked of such rows."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate import catalogue
from floodwarden.simulate.config import START_MS
from floodwarden.simulate.scene import Scene
from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES, Ints, Rows, World


def attack(name: str, strength: str = "medium") -> tuple[Rows, Scene]:
    family = catalogue.families()[name]
    how = family.strengths[strength]
    scene = Scene(np.random.default_rng([7, len(name)]), World(), how.lasts_s, START_MS, 5.0, 2000)
    made = family.make(scene, how)
    return made[np.argsort(made["ts_ms"], kind="stable")], scene


def good(name: str) -> tuple[Rows, Scene]:
    case = catalogue.cases()[name]
    scene = Scene(np.random.default_rng(3), World(), 14_400.0, START_MS, 3.0, 800)
    assert case.make is not None
    made = case.make(scene)
    return made[np.argsort(made["ts_ms"], kind="stable")], scene


def of(made: Rows, *endpoints: str) -> Rows:
    return np.asarray(made[np.isin(made["endpoint"], [ENDPOINT_CODES[name] for name in endpoints])])


def share(made: Rows, *statuses: int) -> float:
    return float(np.isin(made["status"], statuses).mean())


def each(codes: Ints) -> Ints:
    """How often each code is in it."""
    return np.unique(codes, return_counts=True)[1]


def most_in_a_minute(made: Rows, column: str) -> int:
    return int(each(made[column].astype(np.int64) * 100_000 + made["ts_ms"] // 60_000).max())


def paths(made: Rows, scene: Scene) -> list[str]:
    return [scene.world.paths.texts[path] for path in made["path"].tolist()]


def agents(made: Rows, scene: Scene) -> set[str]:
    """The user agents in it."""
    return {scene.world.agents.texts[ua] for ua in np.unique(made["ua"]).tolist()}


def keys(made: Rows, scene: Scene) -> set[str]:
    return {scene.world.keys.texts[key] for key in np.unique(made["key"]).tolist() if key != ABSENT}


def bouts(made: Rows, apart_ms: int) -> list[Rows]:
    return np.split(made, np.flatnonzero(np.diff(made["ts_ms"]) > apart_ms) + 1)


def grows_with_the_site(name: str, column: str, there_are: int) -> None:
    """At 2,000 accounts and 5 requests a second a good case has so many of `column`, and stays within a day."""
    scene = Scene(np.random.default_rng(5), World(), 32_400.0, START_MS, 5.0, 2000)
    make = catalogue.cases()[name].make
    assert make is not None
    made = make(scene)
    assert len(np.unique(made[column])) == there_are
    assert len(made) < 30_000
    assert (made["ts_ms"] < 32_400_000).mean() > 0.98
