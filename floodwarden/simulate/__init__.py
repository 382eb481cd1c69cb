"""Labelled traffic of a made-up site: people, machines and attacks, the same for the same seed."""

from floodwarden.formats_trace import Labelled
from floodwarden.simulate.config import (
    CASES,
    EVERY_ATTACK,
    FAMILIES,
    STRENGTHS,
    Attack,
    SimulationConfig,
    SimulationError,
    attack_of,
)
from floodwarden.simulate.generate import simulate
from floodwarden.simulate.sinks import write

__all__ = [
    "CASES",
    "EVERY_ATTACK",
    "FAMILIES",
    "STRENGTHS",
    "Attack",
    "Labelled",
    "SimulationConfig",
    "SimulationError",
    "attack_of",
    "simulate",
    "write",
]
