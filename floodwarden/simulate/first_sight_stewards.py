"""First sight: hard good cases of those who read or change very much for others, with a right to it."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.people import at_home
from floodwarden.simulate.scene import Rows, Scene, again, scripted, those, together
from floodwarden.simulate.world import ITEMS

_CHANGER: Final = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36"
    " VaultChanger/1.4"
)
_RESCUER: Final = "Mozilla/5.0 (compatible; RescueWarrior/3.1; wget-at/1.21.3; +https://rescue.example/why)"
_PACKET: Final = 20


@case()
def password_changers(scene: Scene) -> Rows:
    """A keeper of passwords offers to change them all by itself, and does so from six machines of its own.

    For as many members as the site has requests in forty seconds (200 at 5 a second), within five hours, one account
    after the other, under its name: the front page, in, the account, a new password (for one in ten too long at first,
    400), out. For one in six the kept password is an old one (401); the other one that is kept fits every second time.
    One in four is asked for a code, which its owner has to read to it; one in six of those is too late (401). Later the
    owners' own browsers sign in at home, every second of them with the old password first, once or twice (401).

    Source: Dashlane, Password Changer (the passwords are changed from its servers), and LastPass, the same in the
    browser, both 2014-12-09; Google, Chrome changes passwords that leaked, told 2025-05-20.
    """
    rng = scene.rng
    n, lasts_s = max(24, round(scene.requests_per_s * 40)), min(18_000.0, 0.5 * scene.span_s)
    begin_s, home = scene.moment(0.1, 0.3), at_home(scene, n, 0.3)
    machines = scene.by_turns(scene.addresses(6, "hosting"), n)
    by = {"ip": machines, "user": home["user"], "ua": np.full(n, scene.tool(_CHANGER))}
    at_s = begin_s + lasts_s * np.sort(rng.beta(1.2, 1.6, n))
    stale, coded = rng.permutation(n) % 6 == 0, rng.permutation(n) % 4 == 0
    lost = stale & (rng.permutation(n) % 2 == 0)
    unread = ~lost & coded & (rng.permutation(n) % 6 == 0)
    parts = [scene.requests(at_s, "home", **by)]
    parts.append(scene.requests(at_s[stale] + 2, "login", status=401, **those(by, stale)))
    parts.append(scene.requests(at_s[stale] + 5, "login", status=np.where(lost, 401, 200)[stale], **those(by, stale)))
    parts.append(scene.requests(at_s[~stale] + 2, "login", **those(by, ~stale)))
    asked = coded & ~lost
    read_s = at_s[asked] + rng.uniform(30, 80, int(asked.sum()))
    parts.append(scene.requests(read_s, "verify", status=np.where(unread, 401, 200)[asked], **those(by, asked)))
    done = np.flatnonzero(~lost & ~unread)
    in_s = at_s[done] + np.where(coded[done], 84.0, 7.0)
    long = np.arange(len(done)) % 10 == 0
    parts.append(scene.requests(in_s[long] + 3.5, "profile", status=400, **those(by, done[long])))
    steps = [("account", 0.0, 200), ("profile", 6.0, 200), ("logout", 1.5, 200)]
    parts.append(scripted(scene, in_s, steps, **those(by, done)))
    comes_s = in_s + 600 + rng.uniform(0, 0.3, len(done)) * lasts_s
    old, nth = again((rng.permutation(len(done)) % 2 == 0) * rng.integers(1, 3, len(done)))
    parts.append(scene.requests(comes_s[old] - 30 + nth * 12, "login", status=401, **those(home, done[old])))
    return together(*parts, scripted(scene, comes_s, [("login", 0.0, 200), ("orders", 8.0, 200)], **those(home, done)))


@case()
def closing_forum(scene: Scene) -> Rows:
    """The shop gives its reviews up at the end of the month, and volunteers keep them, as agreed, page by page.

    As many as the site has requests in 24 seconds (120 at 5 a second), at home and, three in ten, on rented machines,
    all under the same name that says why. For six hours a tracker deals out packets of twenty neighbouring items to who
    asks for one: the reviews of each item once, in order, some three seconds apart, 5,500 of them at 5 requests a
    second; one in 25 is not there (404). In the first hour one in twelve gets no answer (503) and is asked for again.

    Source: Archive Team, GeoCities, 2009-10, Yahoo Groups, 2019-12, and Google+, 2019-03: volunteers' "warriors" at
    home take packets from a tracker and save them before a service ends.
    """
    rng, volunteers = scene.rng, max(12, round(scene.requests_per_s * 24))
    packets = min(ITEMS, max(120, round(scene.requests_per_s * 1100))) // _PACKET
    begin_s, lasts_s = scene.moment(0.1, 0.35), min(21_600.0, 0.55 * scene.span_s)
    rented = 3 * volunteers // 10
    ip = np.concatenate([scene.addresses(volunteers - rented, "home"), scene.addresses(rented, "hosting")])
    dealt_s, taker = begin_s + 0.98 * lasts_s * np.sort(rng.random(packets)), scene.by_turns(ip, packets)
    first = rng.permutation(ITEMS // _PACKET)[:packets] * _PACKET
    packet = np.repeat(np.arange(packets), _PACKET)
    nth = np.tile(np.arange(_PACKET), packets)
    gaps_s = np.cumsum(rng.gamma(4, 0.75, (packets, _PACKET)), axis=1).ravel() * min(1.0, lasts_s / 7200)
    at_s, path = dealt_s[packet] + gaps_s, scene.world.reviews[first[packet] + nth]
    who = {"ip": taker[packet], "ua": np.full(len(packet), scene.tool(_RESCUER))}
    busy = (at_s < begin_s + min(3600.0, lasts_s / 3)) & (rng.random(len(at_s)) < 1 / 12)
    unheard = scene.requests(at_s[busy], "reviews", path=path[busy], status=503, **those(who, busy))
    at_s[busy] += rng.uniform(20, 40, int(busy.sum()))
    return together(
        unheard, scene.requests(at_s, "reviews", path=path, status=scene.mostly(len(at_s), 200, 404, 1 / 25), **who)
    )
