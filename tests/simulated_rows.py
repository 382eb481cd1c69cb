"""What docs/simulate.md says of a family or a good case, held to what it is declared to be."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from floodwarden.simulate import catalogue
from floodwarden.simulate.config import START_MS
from floodwarden.simulate.scene import Scene
from floodwarden.simulate.world import World

DOCS = (Path(__file__).parent.parent / "docs" / "simulate.md").read_text()


def row_says(name: str) -> None:
    """A family's row says from how many sources it comes, and how often, in each strength."""
    (line,) = [line for line in DOCS.splitlines() if line.startswith(f"| `{name}` |")]
    said = re.search(r"([\d,]+) / ([\d,]+) / ([\d,]+) .*; ([\d.,]+), ([\d.,]+), ([\d.,]+) a (minute|second) in", line)
    assert said is not None
    numbers = [float(one.replace(",", "")) for one in said.groups()[:6]]
    how = catalogue.families()[name].strengths.values()
    assert numbers[:3] == [one.sources for one in how]
    a_second = [one / (60 if said[7] == "minute" else 1) for one in numbers[3:]]
    assert a_second == pytest.approx([one.sources * one.per_s for one in how], rel=0.03)


def is_told_once(name: str) -> None:
    """A good case has one sentence."""
    assert len(re.findall(rf"`{name}`\s\(", DOCS)) == 1
    assert name in catalogue.cases()


def begins_late(name: str) -> None:
    """A family that begins seconds before the run is over does what it can in them."""
    family = catalogue.families()[name]
    for how in family.strengths.values():
        scene = Scene(np.random.default_rng(3), World(), 20.0, START_MS, 1.0, 50)
        made = family.make(scene, replace(how, lasts_s=20.0))
        assert len(made) >= 3
        assert (made["ts_ms"] >= 0).all()
        assert (made["ts_ms"] < 140_000).mean() > 0.9
