"""Ways in without a password of one's own to guess: codes, forged tokens, batches, sessions handed on."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.services import invoice_paths, orders_of

_POLL_S: Final = 5.0
_CODE_LASTS_S: Final = 900.0
_ADMITTED: Final = (("account", 3.0, 200), ("orders", 2.0, 200), ("invoice", 2.5, 200), ("invoice", 2.0, 200))
_FORGERIES: Final = 40  # until one is taken for true
_DROP: Final = (
    ("item", 9.0, 200), ("item", 0.5, 200), ("item", 0.4, 200), ("cart_add", 0.4, 200), ("checkout", 0.5, 200),
    ("pay", 0.8, 200),
)  # fmt: skip


@family(weak=Strength(1, 12, 1800), medium=Strength(3, 48, 1200), strong=Strength(10, 108, 600))
def device_code_phishing(scene: Scene, how: Strength) -> Rows:
    """Members are talked into typing a code that lets somebody else's device in, which meanwhile asks whether it is.

    A code at a time, or up to nine a machine: a token asked for every five seconds (400) until the code has lapsed
    after a quarter of an hour. One in four is typed in: the token is given (200), and account, orders and two invoices
    are read at once; then the next code. No sign-on, no wrong password.

    Source: Microsoft Threat Intelligence, "Storm-2372 conducts device code phishing campaign", 2025-02-13.
    """
    rng, ua, parts = scene.rng, scene.tool("python-requests/2.31.0"), []
    lanes = round(how.per_minute * _POLL_S / 60)
    typed_first = True  # whoever sends codes out waits for the one that works
    for ip in scene.addresses(how.sources, "hosting").tolist():
        for _ in range(lanes):
            begin_s = float(rng.uniform(0, min(_POLL_S, 0.5 * how.lasts_s)))
            while begin_s < how.lasts_s:
                typed = typed_first or rng.random() < 0.25
                ends_s = begin_s + (rng.uniform(0.1, 0.7) if typed else 1.0) * min(_CODE_LASTS_S, how.lasts_s)
                typed_first = False
                at_s = np.arange(begin_s, min(ends_s, how.lasts_s), _POLL_S)
                at_s += rng.normal(0, 0.1, len(at_s))
                parts.append(scene.requests(at_s, "token", ip=ip, ua=ua, status=400))
                if typed and ends_s < how.lasts_s:
                    parts.append(_admitted(scene, ends_s, ip, ua))
                begin_s = ends_s + float(rng.uniform(8, 30))
    return together(*parts)


@family(weak=Strength(1, 3, 2400), medium=Strength(2, 30, 900), strong=Strength(6, 100, 420))
def forged_tokens(scene: Scene, how: Strength) -> Rows:
    """Tokens are forged until the site takes one for true, and then there is one for every account, in order.

    Forty or fewer are refused (401), as many ways as there are to get a signature wrong. Then account after account, by
    number: its page, its orders, one invoice, nobody signed in. All is answered (200).

    Source: N. Madden, "CVE-2022-21449: psychic signatures in Java", 2022-04-19; Microsoft on Storm-0558 (tokens forged
    with an acquired key), 2023-07-11.
    """
    rng = scene.rng
    total = int(how.sources * how.per_s * how.lasts_s)
    tried = max(3, min(_FORGERIES, total // 4))
    n = max(1, (total - tried) // 3)
    pool, ua = scene.addresses(how.sources, "hosting"), scene.tool("axios/1.6.7")
    learns_s = how.lasts_s * tried / (tried + 3 * n)
    tried_s = scene.scattered(tried, learns_s)
    refused = scene.requests(tried_s, "token", ip=int(pool[0]), ua=ua, status=401)
    begins_s = learns_s + np.linspace(0, max(1.0, how.lasts_s - learns_s - 5), n) + rng.uniform(0, 0.5, n)
    number = (int(rng.integers(scene.clients)) + np.arange(n)) % scene.clients
    user = scene.world.users.all([f"user{one:05d}" for one in number.tolist()])
    steps = [("account", 0.0, 200), ("orders", 0.8, 200), ("invoice", 0.9, 200)]
    made = scripted(scene, begins_s, steps, ip=scene.by_turns(pool, n), user=user, ua=ua)
    made["path"][2 * n :] = invoice_paths(scene, orders_of(scene, user, 0))
    return together(refused, made)


@family(oat="OAT-008", weak=Strength(1, 1, 3000), medium=Strength(2, 8, 1200), strong=Strength(6, 40, 420))
def graphql_batching(scene: Scene, how: Strength) -> Rows:
    """A hundred sign-ons are packed into one request for GraphQL, and the limit counts one.

    Nothing but that route, all answered 200 whoever is in it, three in a hundred too large (413). In one of ten a pair
    fits: a token, the orders and two invoices follow under that account.

    Source: Wallarm, "GraphQL batching attack", 2019-12-13; OWASP API Security Top 10, API4:2023, 2023-06.
    """
    rng = scene.rng
    n = max(10, round(how.sources * how.per_s * how.lasts_s / 1.4))
    at_s = np.sort(rng.uniform(0, max(1.0, how.lasts_s - 10), n))
    ip = scene.by_turns(scene.addresses(how.sources, "hosting"), n)
    ua, status = scene.browser(ip), scene.mostly(n, 200, 413, 0.03)
    packed = scene.requests(at_s, "graphql", ip=ip, ua=ua, status=status)
    fits = np.flatnonzero(np.arange(n) % 10 == int(rng.integers(10)))
    user = scene.accounts(len(fits), distinct=True)
    steps = [("token", 2.0, 200), ("orders", 1.0, 200), ("invoice", 1.0, 200), ("invoice", 1.0, 200)]
    used = scripted(scene, at_s[fits], steps, ip=ip[fits], user=user, ua=ua[fits])
    for nth in (0, 1):
        read = slice((2 + nth) * len(fits), (3 + nth) * len(fits))
        used["path"][read] = invoice_paths(scene, orders_of(scene, user, nth))
    return together(packed, used)


@family(oat="OAT-009", weak=Strength(4, 0.5, 3000), medium=Strength(16, 4, 1200), strong=Strength(48, 16, 480))
def session_handover(scene: Scene, how: Strength) -> Rows:
    """People are paid to sign in by hand where programs are kept out, and programs elsewhere shop with their sessions.

    A quarter of the addresses, where people sit: account after account, one in ten mistyped first (401), nothing else.
    Seconds later a rented machine goes on in that session: one of three items, cart, checkout, paid within three
    seconds; one in three comes too late (409).

    Source: M. Motoyama and others, "Re: CAPTCHAs: understanding CAPTCHA-solving services in an economic context",
    USENIX Security, 2010-08; OWASP Automated Threat Handbook 1.2, OAT-009, 2018-02-15.
    """
    rng, steps = scene.rng, len(_DROP)
    desks = max(1, how.sources // 4)
    people, machines = scene.addresses(desks, "bot"), scene.addresses(how.sources - desks, "hosting")
    n = max(how.sources, round(how.sources * how.per_s * how.lasts_s / (steps + 0.43)))
    begins_s = 12 + scene.scattered(n, max(1.0, how.lasts_s - 40))
    desk, ip = scene.by_turns(people, n), scene.by_turns(machines, n)
    user = scene.strangers(n, "runner")
    signed = scene.requests(begins_s, "login", ip=desk, user=user, ua=scene.browser(desk))
    mistyped = signed[rng.random(n) < 0.1].copy()
    mistyped["status"], mistyped["ts_ms"] = 401, mistyped["ts_ms"] - rng.integers(4000, 12_000, len(mistyped))
    made = scripted(scene, begins_s, _DROP, ip=ip, user=user, ua=scene.browser(desk))
    wanted = scene.world.items[rng.integers(0, 400, 3)]
    made["path"][: 3 * n] = np.tile(wanted[rng.integers(0, 3, n)], 3)
    late, step = np.tile(rng.permutation(n) % 3 == 0, steps), np.repeat(np.arange(steps), n)
    made["status"][late & (step == 3)] = 409
    return together(signed, mistyped, made[~late | (step <= 3)])


def _admitted(scene: Scene, at_s: float, ip: int, ua: int) -> Rows:
    """The token that is given at last, and what is read with it."""
    user = scene.accounts(1)
    steps = [("token", 1.0, 200), *_ADMITTED]
    made = scripted(scene, np.array([at_s]), steps, ip=ip, user=user, ua=ua)
    for row, nth in ((3, 0), (4, 1)):
        made["path"][row] = invoice_paths(scene, orders_of(scene, user, nth))[0]
    return made
