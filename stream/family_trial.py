"""Families tried on recorded traffic beside those in force: whom each set alarms about, and what it asks for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detectors.artifact import Model
from detectors.columns import KINDS_N, Finding, Flows
from detectors.evidence import Engine
from detectors.pairs import mix
from stream.episodes import QUIET_MS
from stream.tenants import Tenants
from stream.trial import Step, side_by_side

_Key = tuple[int, int, str]


@dataclass(slots=True)
class Case:
    """An incident: an entity and a family, until both sets have been silent about it for twenty minutes.

    `live` and `tried` are what each says first, None: nothing; `begun` the first of all. `tenant` is the hash of its
    only one, 0: none or several.
    """

    begun: Finding
    established: bool
    tenant: int
    last_ms: int
    live: Finding | None = None
    tried: Finding | None = None

    @property
    def first(self) -> Finding:
        """What is said of it: by the families that are tried, if they say anything."""
        return self.tried or self.begun

    @property
    def population(self) -> str:
        """`newcomer` or `established`; `group` where it is no client."""
        if self.first.kind >= KINDS_N:
            return "group"
        return "established" if self.established else "newcomer"


def tried(live: Model, other: Model, flows: Flows) -> list[Case]:
    """All incidents of `live` and `other`, models for two sets of families, in `flows`; the first to begin first.

    Of `detectors.family_pair.Pair`, whose conditions the flows carry.
    """
    cases, tenants = _Cases(), Tenants()
    for step in side_by_side(live, other, flows):
        tenants.add(step.flows, step.until_s)
        cases.take(step, tenants)
    return cases.all


class _Cases:
    def __init__(self) -> None:
        self.all: list[Case] = []
        self._open: dict[_Key, Case] = {}

    def take(self, step: Step, tenants: Tenants) -> None:
        for is_tried, (judge, found) in enumerate(zip(step.judges, step.found, strict=True)):
            of = _known(judge, found, tenants)
            for finding, (established, tenant) in zip(found, of, strict=True):
                case = self._case(finding, established=established, tenant=tenant)
                if is_tried:
                    case.tried = case.tried or finding
                else:
                    case.live = case.live or finding
                case.last_ms = max(case.last_ms, finding.last_ms)

    def _case(self, finding: Finding, *, established: bool, tenant: int) -> Case:
        key = finding.kind, finding.entity, finding.family
        held = self._open.get(key)
        if held is None or held.last_ms + QUIET_MS <= finding.at_s * 1000:
            held = self._open[key] = Case(finding, established, tenant, finding.last_ms)
            self.all.append(held)
        return held


def _known(judge: Engine, found: list[Finding], tenants: Tenants) -> list[tuple[bool, int]]:
    """Of each finding's entity whether it has a good history, and the hash of its tenant."""
    kinds = np.array([finding.kind for finding in found], np.uint8)
    entities = np.array([finding.entity for finding in found], np.uint64)
    regular = judge.regular(mix(entities, kinds.astype(np.uint64)), kinds)
    return list(zip(regular.tolist(), tenants.of(kinds, entities).tolist(), strict=True))
