"""First sight: roads that lead here and are no roads of ours: a swarm's tracker, a free line, links of others."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.services import invoice_paths, orders_of
from floodwarden.simulate.world import zipf

_TORRENTS: Final = 60
_SHARERS: Final = (
    ("-UT3550-", "uTorrent/3550(46090)"), ("-TR4050-", "Transmission/4.05"), ("-qB4640-", "qBittorrent/4.6.4"),
    ("-DE2110-", "Deluge/2.1.1 libtorrent/2.0.10.0"), ("-BT7110-", "BitTorrent/7110(46613)"),
)  # fmt: skip
_ELSEWHERE: Final = (
    "/plugins/like.php?href=front", "/connect/en_US/all.js", "/rsrc.php/v2/y9/r/9xN.css", "/widgets.js", "/intent/post",
)  # fmt: skip
_ON_S: Final = 40.0  # somebody loads something
_ON_SHARE: Final = 0.6
_LINKS: Final = 6  # of a round


@family(oat="OAT-015", weak=Strength(120, 1.5, 1800), medium=Strength(500, 3.6, 900), strong=Strength(2000, 5.4, 300))
def tracker_swarm(scene: Scene, how: Strength) -> Rows:
    """A name server that lies sends a swarm of file sharers here, and all of them take us for who keeps their list.

    Homes worldwide, in ever greater numbers for the first two fifths of the time, as names lapse: each announces one
    to six files by their hashes in turn, at its program's interval, and asks every eighth time how many have one. Who
    begins says so. In one home of ten it is a browser that wanted another site's button. We have none of it (404); the
    more there are, the more fails (to three in ten: 503).

    Source: C. Hockenberry, "Fear China" (52 Mbit/s of other sites' requests and of BitTorrent announces, by names
    that a censor had falsified), 2015-01-20; and Emsisoft on the same, 2015-01-26.
    """
    rng, homes = scene.rng, how.sources
    each = max(1, round(how.per_s * how.lasts_s))
    who, nth = np.repeat(np.arange(homes), each), np.tile(np.arange(each), homes)
    comes_s = how.lasts_s * 0.4 * rng.beta(1.5, 1.5, homes)
    every_s = (how.lasts_s - comes_s) / each
    at_s = comes_s[who] + (nth + rng.uniform(0, 0.15, len(who))) * every_s[who]
    files = rng.integers(1, 7, homes)
    shares = zipf(rng, homes * 6, _TORRENTS).reshape(homes, 6)
    hashes = [f"{one:016x}" for one in rng.integers(1 << 60, 1 << 62, _TORRENTS)]
    peer = rng.integers(1 << 40, 1 << 44, homes)
    asked = []
    for home, turn in zip(who.tolist(), nth.tolist(), strict=True):
        which = hashes[shares[home, turn % files[home]]]
        if home % 10 == 0:
            asked.append(_ELSEWHERE[(home // 10 + turn) % len(_ELSEWHERE)])
        elif turn >= files[home] and (home + turn) % 8 == 7:
            asked.append(f"/scrape?info_hash={which}")
        else:
            begun = "&event=started" if turn < files[home] else ""
            name = _SHARERS[home % len(_SHARERS)][0]
            asked.append(f"/announce?info_hash={which}&peer_id={name}{peer[home]:012x}&port=6881{begun}")
    ip = scene.addresses(homes, "bot")
    programs = scene.world.agents.all([agent for _, agent in _SHARERS])[np.arange(homes) % len(_SHARERS)]
    ua = np.where(np.arange(homes) % 10 == 0, scene.browser(ip), programs)
    busy = min(0.3, len(who) / how.lasts_s / 600)
    status = scene.mostly(len(who), 404, 503, busy)
    return scene.requests(at_s, "missing", path=asked, ip=ip[who], ua=ua[who], status=status)


@family(weak=Strength(2, 12, 2400), medium=Strength(10, 30, 900), strong=Strength(60, 60, 400))
def toll_free_tunnels(scene: Scene, how: Strength) -> Rows:
    """What goes to us costs nothing at two carriers, and so people send everything by way of us, packed in a profile.

    Pairs: a telephone at the carrier, a rented machine, one account made for it in both. The telephone writes a piece
    into the profile, the machine reads it half a second later, fetches what was wanted, writes the answer there, and
    the telephone reads it. For forty seconds over and over, then for half a minute somebody reads. No page of ours is
    ever opened; one time in forty both write at once (409).

    Source: J. Fietkau, D. Runge and J.-P. Seifert, "Free by design: on the feasibility of free-riding attacks against
    zero-rated services" (tunnels through a service's own messages and files), CANS 2021; Z. Liu and others on the same
    at T-Mobile and China Mobile, IEEE S&P (poster), 2017-05.
    """
    rng, pairs = scene.rng, how.sources // 2
    turns = max(2, round(how.per_s * how.lasts_s / 2))
    who, nth = np.repeat(np.arange(pairs), turns), np.tile(np.arange(turns), pairs)
    busy_s = (nth + rng.random(len(who))) * _ON_SHARE * how.lasts_s / turns
    at_s = busy_s // _ON_S * (_ON_S / _ON_SHARE) + busy_s % _ON_S + rng.uniform(0, 50, pairs)[who]
    users = scene.strangers(pairs, "tollfree")[who]
    app, far = scene.tool("ShopApp/5.9.4 (Android 13)"), scene.tool("Go-http-client/1.1")
    telephone = {"ip": scene.addresses(pairs, "sim")[who], "user": users, "ua": np.array([app])}
    machine = {"ip": scene.addresses(pairs, "hosting")[who], "user": users, "ua": np.array([far])}
    parts = []
    for endpoint, ends in (("profile", telephone), ("account", machine), ("profile", machine), ("account", telephone)):
        status = scene.mostly(len(who), 200, 409, 0.025 if endpoint == "profile" else 0.0)
        parts.append(scene.requests(at_s, endpoint, status=status, **ends))
        at_s = at_s + rng.uniform(0.3, 0.7, len(who))
    return together(*parts)


@family(weak=Strength(1, 2, 2400), medium=Strength(3, 12, 1200), strong=Strength(8, 45, 480))
def leaked_link_reaping(scene: Scene, how: Strength) -> Rows:
    """What firms' mail gateways hand to a public scanner lies open there: others' links, and somebody opens them.

    Round after round: six links with a token in them, each of somebody else, which nobody guessed: what was shared,
    invoices, ways to a new password. Three in five are spent (404, 403). At the end of a round a reset is asked for
    somebody at such a firm (202); for one in two its link is in the scanner one to three minutes later, and is
    followed: the code fits, then come the orders and an invoice.

    Source: F. Bräunlein (Positive Security), "urlscan.io's SOAR spot: chatty security tools leaking private data",
    2022-11-02; R. Rijal, J. Nipper and T. Emek (Tinder), on the same at DEF CON 30, 2022-11-07.
    """
    rng, machines = scene.rng, how.sources
    rounds = max(1, round(how.per_s * how.lasts_s / (_LINKS + 2.5)))
    n = rounds * machines
    begins_s = (np.tile(np.arange(rounds), machines) + rng.uniform(0, 0.5, n)) * 0.85 * how.lasts_s / rounds
    machine = scene.addresses(machines, "hosting").repeat(rounds)
    at_s = begins_s.repeat(_LINKS) + np.tile(np.arange(_LINKS), n) * 1.2 + rng.uniform(0, 0.8, n * _LINKS)
    links = n * _LINKS
    kind, ip = rng.integers(0, 3, links), machine.repeat(_LINKS)
    token = [f"{one:015x}" for one in rng.integers(1 << 56, 1 << 60, links)]
    asked = [f"/{('s', 'reset')[one % 2]}/{text}" for one, text in zip(kind.tolist(), token, strict=True)]
    spent = rng.random(links) < 0.6
    who = {"ip": ip, "ua": scene.browser(ip)}
    opened = scene.requests(at_s, "missing", path=asked, status=np.where(spent, 404, 200), **who)
    order = rng.integers(100_000, 160_000, links).tolist()
    bills = [f"/account/orders/{one}/invoice?token={text}" for one, text in zip(order, token, strict=True)]
    bill = scene.requests(at_s, "invoice", path=bills, status=np.where(spent, 403, 200), **who)
    opened[kind == 2] = bill[kind == 2]
    user, ordered_s = scene.accounts(n, distinct=True), begins_s + 10
    whose = {"ip": machine, "user": user, "ua": scene.browser(machine)}
    ordered = scene.requests(ordered_s, "reset", status=202, **whose)
    lies = rng.permutation(n) % 2 == 0
    found_s = (ordered_s + rng.uniform(60, 180, n))[lies]
    victim = {name: codes[lies] for name, codes in whose.items()}
    bought = invoice_paths(scene, orders_of(scene, victim["user"], 1))
    followed = [
        scene.requests(found_s, "verify", **victim),
        scene.requests(found_s + rng.uniform(3, 8, len(found_s)), "orders", **victim),
        scene.requests(found_s + rng.uniform(9, 20, len(found_s)), "invoice", path=bought, **victim),
    ]
    return together(opened, ordered, *followed)
