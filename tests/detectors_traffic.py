"""Small made-up traffic as flows, for the detectors' tests."""

from __future__ import annotations

import numpy as np

from detectors.artifact import load
from detectors.columns import AUTH_FAILED, CLIENT_ERROR, IP, KEY, LIMITED, OK, Finding, Flows
from detectors.evidence import Engine
from detectors.family_file import built_in

T0_S = 1_700_000_000 // 3600 * 3600
LOGIN_ROUTE = 99
PAY_ROUTE = 77


def flows(rows: int, /, **columns: object) -> Flows:
    """`rows` of them; a column not given is 0, one request each, `t_ms` is counted from T0."""
    t_ms = T0_S * 1000 + np.broadcast_to(np.asarray(columns.get("t_ms", 0), np.int64), rows)

    def column(name: str, dtype: type, default: int = 0) -> np.ndarray:
        return np.broadcast_to(np.asarray(columns.get(name, default)), rows).astype(dtype)

    entity = column("entity", np.uint64, 1)
    return Flows(
        column("kind", np.uint8),
        entity,
        t_ms // 1000,
        t_ms,
        t_ms,
        column("route", np.uint64, 1),
        column("path", np.uint64, 1),
        column("user", np.uint64),
        column("ip", np.uint64) if "ip" in columns else entity,
        column("outcome", np.uint8),
        column("login", np.bool_),
        column("n", np.int64, 1),
        column("agent", np.uint64),
        column("asn", np.uint64),
        column("tags", np.uint64),
        column("tenant", np.uint64),
        column("network", np.uint64),
    )


def site(seed: int, owners: int = 300, span_s: int = 5400, requests: int = 12_000) -> Flows:
    """People and keys that log in, mistype, meet dead links and come back to pages."""
    g = np.random.default_rng(seed)
    entity = g.integers(1, owners + 1, requests)
    kind = np.where(entity % 4 == 0, KEY, IP)
    login = (g.random(requests) < 0.05) & (kind == IP)
    outcome = np.where(login, np.where(g.random(requests) < 0.08, AUTH_FAILED, OK), OK)
    outcome = np.where(~login & (g.random(requests) < 0.01), CLIENT_ERROR, outcome)
    route = g.integers(1, 9, requests)
    return flows(
        requests,
        kind=kind,
        entity=entity,
        t_ms=np.sort(g.integers(0, span_s * 1000, requests)),
        route=np.where(login, LOGIN_ROUTE, route),
        path=np.where(login, LOGIN_ROUTE, route * 1000 + np.minimum(g.geometric(0.05, requests), 60)),
        user=np.where(login, entity * 10, 0),
        outcome=outcome,
        login=login,
    )


def brute_force(at_s: float, n: int = 60, every_ms: int = 500, entity: int = 9_001) -> Flows:
    """One address, one account after the other."""
    return flows(
        n,
        entity=entity,
        t_ms=int(at_s * 1000) + np.arange(n) * every_ms,
        route=LOGIN_ROUTE,
        path=LOGIN_ROUTE,
        user=50_000 + np.arange(n),
        outcome=AUTH_FAILED,
        login=True,
    )


def hammer(at_s: float, seconds: int = 60, per_s: int = 20, entity: int = 9_002) -> Flows:
    """One key asking one thing, refused all along."""
    t_ms = int(at_s * 1000) + np.arange(seconds) * 1000
    return flows(seconds, kind=KEY, entity=entity, t_ms=t_ms, outcome=LIMITED, n=per_s)


def scraper(at_s: float, n: int = 400, every_ms: int = 250, entity: int = 9_003) -> Flows:
    """One address that never looks back."""
    return flows(n, entity=entity, t_ms=int(at_s * 1000) + np.arange(n) * every_ms, path=700_000 + np.arange(n))


def probe(at_s: float, n: int = 60, every_ms: int = 500, entity: int = 9_004) -> Flows:
    """One address working through a list of things that are not there."""
    t_ms = int(at_s * 1000) + np.arange(n) * every_ms
    return flows(n, entity=entity, t_ms=t_ms, path=800_000 + np.arange(n), outcome=CLIENT_ERROR)


def attacked(seed: int) -> Flows:
    """The site with one of each attack."""
    return Flows.concat([site(seed), brute_force(1000), hammer(1500), scraper(2000), probe(3000)])


def tags_of(name: str, *, marked: bool) -> int:
    """Bits of the conditions of a built-in family that hold for its opportunities, and for its marks too."""
    family = next(one for one in built_in() if one.name == name)
    return sum({1 << tag for tag in ((family.tag, family.mark.tag) if marked else (family.tag,)) if tag >= 0})


def shop(seed: int, owners: int = 300, span_s: int = 10_800, requests: int = 18_000) -> Flows:
    """People who now and then put something into the cart, and a card that is declined once in a while."""
    g = np.random.default_rng(seed)
    submits = g.random(requests) < 0.3
    refused = submits & (g.random(requests) < 0.05)
    submitted = tags_of("refused", marked=False) | tags_of("focus", marked=True)
    tags = np.where(refused, submitted | tags_of("refused", marked=True), submitted)
    return flows(
        requests,
        entity=1 + g.integers(0, owners, requests),
        t_ms=np.sort(g.integers(0, span_s * 1000, requests)),
        route=np.where(submits & (g.random(requests) < 0.4), PAY_ROUTE, g.integers(1, 9, requests)),
        path=PAY_ROUTE,
        outcome=np.where(refused, CLIENT_ERROR, OK),
        tags=np.where(submits, tags, 0),
    )


def keys_tried(at_s: float, keys: int, n: int = 60, entity: int = 9_005) -> Flows:
    """One address whose keys are refused, so many different ones by turns."""
    return flows(
        n,
        entity=entity,
        t_ms=int(at_s * 1000) + np.arange(n) * 1000,
        user=60_000 + np.arange(n) % keys,
        outcome=AUTH_FAILED,
        tags=tags_of("key-guess", marked=True),
    )


def thrown_out(at_s: float, accounts: int = 20, entity: int = 9_006, *, back: bool) -> Flows:
    """Accounts that each fail once at one new address, and go on there signed in where they are let `back`."""
    t_ms = int(at_s * 1000) + np.arange(accounts) * 20_000
    login = {"route": LOGIN_ROUTE, "path": LOGIN_ROUTE, "outcome": AUTH_FAILED, "login": True}
    failed = flows(accounts, entity=entity, t_ms=t_ms, user=70_000 + np.arange(accounts), **login)
    on = flows(accounts, entity=entity, t_ms=t_ms + 3000, user=70_000 + np.arange(accounts), path=5)
    return Flows.concat([failed, on]) if back else failed


def closed(engine: Engine, traffic: Flows, step_s: int = 600, restart_s: int = 0) -> list[Finding]:
    """What is found of traffic that is closed every `step_s` seconds, by an engine restored once after `restart_s`."""
    found: list[Finding] = []
    for begin_s in range(T0_S, int(traffic.pane_s.max()) + 1, step_s):
        if restart_s and begin_s >= T0_S + restart_s:
            engine, restart_s = Engine.restore(engine.model, engine.arrays()), 0
        here = (traffic.pane_s >= begin_s) & (traffic.pane_s < begin_s + step_s)
        found += engine.close(traffic.take(here), begin_s + step_s)
    return found


def told_of(entity: int, family: str, *parts: Flows, step_s: int = 600, restart_s: int = 0) -> list[Finding]:
    """What the shipped model tells of an owner by a family, of `parts` beside a site's traffic, `closed` so."""
    found = closed(Engine(load()), Flows.concat([site(3), *parts]), step_s, restart_s)
    return [one for one in found if (one.entity, one.family) == (entity, family)]
