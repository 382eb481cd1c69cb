"""Whose an entity is: told where all its requests are one tenant's, by alerts too, and after a restart."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stream_traffic import NOW_MS, blocks, row

from detectors.artifact import Model, load
from detectors.columns import DTYPES, Flows
from schemas.alert import Alert, EntityKind
from schemas.decision import Decision
from schemas.usage import Kind
from stream.pipeline import Config, Pipeline
from stream.tenants import FORGET_S, PLACES, Tenants

START_S = NOW_MS // 1000


def of(tenants: Tenants, kind: Kind, entity: int) -> int:
    return int(tenants.of(np.array([kind], np.uint8), np.array([entity], np.uint64))[0])


def clients(tenants: Tenants, tenant: int) -> int:
    return tenants.clients(np.array([tenant], np.uint64))[tenant]


@pytest.fixture(scope="module")
def model() -> Model:
    return load()


def flows(*rows: tuple[int, int], at_s: int = START_S, kind: Kind = Kind.IP) -> Flows:
    """Requests of (owner, tenant), one each."""
    columns = {name: np.zeros(len(rows), of) for name, of in DTYPES.items()}
    owner, tenant = np.array(rows, np.uint64).reshape(-1, 2).T
    more = {"entity": owner, "tenant": tenant, "last_ms": np.full(len(rows), at_s * 1000), "route": owner + 50}
    return Flows(**columns | more | {"kind": np.full(len(rows), kind, np.uint8)})


BATCHES = st.lists(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 3)), min_size=1, max_size=8), max_size=8)


@given(BATCHES)
def test_an_owner_is_a_tenants_only_if_all_its_requests_are(batches: list[list[tuple[int, int]]]) -> None:
    tenants, seen = Tenants(), dict[int, set[int]]()
    for rows in batches:
        tenants.add(flows(*rows), START_S)
        if seen or any(tenant for _, tenant in rows):  # until the first tenant nothing is remembered
            for owner, tenant in rows:
                seen.setdefault(owner, set()).add(tenant)
    again = Tenants()
    again.restore(tenants.arrays())
    for owner in range(1, 7):
        one = next(iter(seen.get(owner, {0}))) if len(seen.get(owner, {0})) == 1 else 0
        assert of(tenants, Kind.IP, owner) == of(again, Kind.IP, owner) == one
        assert of(tenants, Kind.ROUTE, owner + 50) == one
        assert of(tenants, Kind.KEY, owner) == 0
    for tenant in range(1, 4):
        assert clients(tenants, tenant) == sum(all_of == {tenant} for all_of in seen.values())


def test_who_was_silent_for_long_may_come_back_as_anothers_and_counts_as_live_no_more() -> None:
    tenants = Tenants()
    tenants.add(flows((1, 7)), START_S)
    tenants.add(flows((2, 7), at_s=START_S + 700), START_S + 700)
    assert clients(tenants, 7) == 1
    late_s = START_S + FORGET_S + 1
    tenants.add(flows((1, 9), at_s=late_s), late_s)
    assert of(tenants, Kind.IP, 1) == 9


def test_however_many_clients_are_made_up_no_more_are_held_than_there_are_places() -> None:
    tenants = Tenants(places=64)
    for begin in range(1, 3000, 100):
        tenants.add(flows(*((begin + n, 5) for n in range(100))), START_S)
    assert len(tenants.arrays()["key"]) <= 64
    assert clients(tenants, 5) <= 64
    assert PLACES == 1 << 17


def guesser(count: int, begin: int = 0, **columns: object) -> list[Decision]:
    """Failed logins, each with another account."""
    given = {"method": "POST", "route": "/login", "path": "/login", "status": 401, "ip": "203.0.113.7"}
    return [row(100 * n, user=f"user{n}", **(given | columns)) for n in range(begin, begin + count)]


def told(model: Model, *batches: list[Decision], restart: bool = False) -> list[Alert]:
    config = Config(source_partitions=1, lateness_ms=1000)
    pipeline, alerts = Pipeline(model, config), list[Alert]()
    for number, rows in enumerate(batches):
        alerts += pipeline.step(blocks(rows, start=number), NOW_MS)
        if restart:
            pipeline = Pipeline.restore(model, config, pipeline.snapshot())
    return [one for one in alerts + pipeline.finish() if one.entity.kind is EntityKind.IP and one.status != "closed"]


@pytest.mark.parametrize("restart", [False, True])
def test_an_alert_says_whose_the_client_is_where_it_is_one_tenants(model: Model, restart: bool) -> None:  # noqa: FBT001 - a parameter
    of_acme = told(model, guesser(3, tenant="acme"), guesser(9, 3, tenant="acme"), restart=restart)
    assert {(one.tenant, one.tenant_clients) for one in of_acme} == {("acme", 1)}
    of_two = told(model, guesser(3, tenant="acme"), guesser(9, 3, tenant="other"), restart=restart)
    assert {(one.tenant, one.tenant_clients) for one in of_two} == {(None, 0)}
    assert {one.tenant for one in told(model, guesser(12))} == {None}


def test_an_alert_says_whether_its_client_has_a_good_history(model: Model) -> None:
    regular = [row(at_ms, ip="203.0.113.7") for at_ms in range(0, 3 * 3_600_000, 120_000)]
    later_ms = 3 * 3_600_000 + 60_000
    guesses = [msgspec.structs.replace(one, ts_ms=one.ts_ms + later_ms) for one in guesser(40)]
    strange = [msgspec.structs.replace(one, ip="203.0.113.9") for one in guesses]
    alerts = told(model, [*regular, row(later_ms, ip="198.51.100.1")], guesses + strange)
    assert {(one.entity.value, one.established) for one in alerts} == {("203.0.113.7", True), ("203.0.113.9", False)}
