"""Hard good cases of machines that do what people asked them for: games, mail, a quota."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.people import at_home
from floodwarden.simulate.scene import Rows, Scene, Seconds, again, one_client, those, together
from floodwarden.simulate.world import ABSENT, Ints

_LIST_S: Final = 120.0
_SERVER: Final = "RustlandDedicated/2609 (Linux)"
_PROVIDERS: Final = (5, 3, 1)  # machines of each
_BUTTON: Final = ("MailPost/2.0 (one-click)", "Mozilla/5.0 (compatible; ListUnsub/1.1)", "Postbox-Agent/4.7")
_CALLS: Final = ("python-requests/2.32.3", "google-api-client/2.4.0 (gzip)", "axios/1.7.2")


@case()
def wipe_day(scene: Scene) -> Rows:
    """Once a month all of a game's servers, which players rent, begin with a new world at the same minute.

    A server for each 80 accounts, at hosting companies, a key each, which the game asks us about its players: it says
    every two minutes that it is there. At the minute all are gone for eight to twenty, and register anew, thrice (201);
    then forty to ninety players come within four minutes, each with a ticket that the server has checked: one in two
    has not updated yet (401, one to four times, twenty seconds apart), one in six is still elsewhere (409), until it is
    good (200); what each owns is read after it. One server in eight is too old: for an hour it registers every minute
    in vain (400), before its players come.

    Source: Facepunch Studios, Rust: servers are wiped with each month's update, on its first Thursday at the same hour
    (general practice for years; its news of many months, 2018 to 2024).
    """
    rng, servers = scene.rng, max(6, scene.clients // 80)
    begin_s, hour_s, parts = scene.moment(0.3, 0.55), min(3600.0, 0.12 * scene.span_s), []
    ip, ua = scene.addresses(servers, "hosting"), scene.tool(_SERVER)
    for one in range(servers):
        who = one_client(int(ip[one]), scene.key(f"key-app-server-{one:03d}"), ua)
        anew_s = begin_s + hour_s * rng.uniform(8, 20) / 60 * np.array([0.4, 0.75, 1.0])
        if one % 8 == 3:
            vain_s = scene.regular(anew_s[2] + 30, anew_s[2] + hour_s, 60.0, 0.03)
            parts.append(scene.requests(vain_s, "device", status=400, **who))
            anew_s = anew_s + 1.05 * hour_s
        parts.append(scene.requests(anew_s, "device", status=201, **who))
        told_s = scene.regular(0, scene.span_s, _LIST_S, 0.01)
        told_s = told_s[(told_s < begin_s) | (told_s > anew_s[2])]
        path = f"/api/v1/devices/server-{one:03d}/telemetry"
        parts += [scene.requests(told_s, "telemetry", path=path, **who), _players(scene, float(anew_s[2]) + 5, who)]
    return together(*parts)


def _players(scene: Scene, opens_s: float, who: dict[str, Ints]) -> Rows:
    """All who want to be on one server, as it asks us about them."""
    rng, n = scene.rng, int(scene.rng.integers(40, 91))
    user = {"user": scene.strangers(n, "player")}
    comes_s = opens_s + 240 * rng.beta(1.1, 2.5, n)
    old, nth = again((rng.permutation(n) % 2 == 0) * rng.integers(1, 5, n))
    parts = [scene.requests(comes_s[old] + nth * 20, "token", status=401, **those(user, old), **who)]
    good_s = comes_s + np.bincount(old, minlength=n) * 20
    away = rng.permutation(n) % 6 == 0
    parts.append(scene.requests(good_s[away], "token", status=409, **those(user, away), **who))
    good_s[away] += rng.uniform(15, 30, int(away.sum()))
    parts.append(scene.requests(good_s, "token", **user, **who))
    return together(*parts, scene.requests(good_s + rng.uniform(0.2, 2, n), "api_orders", **user, **who))


@case()
def unsubscribe_posts(scene: Scene) -> Rows:
    """Beside a letter mail programs show a button now that stops it, and the mail provider's machine presses it for us.

    For as many members as the site has requests in two minutes (600 at 5 a second), within six hours of a letter: from
    nine machines of three providers, one POST each under the provider's name, no cookie and no page before it. For the
    first eighth of the time the shop asks for a form's token, which they do not have: 403, and again after two, ten
    and thirty minutes, until it is taken (200) or given up. One in five is sent twice. One in eight of the members
    comes himself, a while later, to see whether it was heeded: in, account, profile.

    Source: RFC 8058 (one-click unsubscribe), 2017-01; Google and Yahoo, requirements for who sends many letters, from
    2024-02 on.
    """
    rng = scene.rng
    n, lasts_s = max(60, round(scene.requests_per_s * 120)), min(21_600.0, 0.6 * scene.span_s)
    begin_s, pace, user = scene.moment(0.1, 0.3), min(1.0, lasts_s / 7200), scene.accounts(n, distinct=True)
    pressed_s = begin_s + 0.65 * lasts_s * rng.beta(1, 2, n)
    machines, names = scene.addresses(sum(_PROVIDERS), "hosting"), [scene.tool(name) for name in _BUTTON]
    pick = rng.integers(0, len(machines), n)
    by = {"ip": machines[pick], "ua": np.repeat(names, _PROVIDERS)[pick], "user": user}
    path = scene.world.paths.all([f"/api/graphql?op=unsubscribe&t={one:010x}" for one in rng.integers(1 << 40, size=n)])
    mended_s, waits_s = begin_s + lasts_s / 8, np.array([0.0, 120.0, 600.0, 1800.0]) * pace
    parts, taken_s = [], np.zeros(n)
    for nth, wait_s in enumerate(waits_s.tolist()):
        at_s = pressed_s + wait_s
        open_ = taken_s == 0
        heard = open_ & ((at_s >= mended_s) | (nth == 3))
        status = np.where(at_s >= mended_s, 200, 403)
        parts.append(scene.requests(at_s[open_], "graphql", path=path[open_], status=status[open_], **those(by, open_)))
        taken_s[heard] = at_s[heard]
    twice = rng.permutation(n) % 5 == 0
    second = scene.requests(taken_s[twice] + rng.uniform(0.5, 3, int(twice.sum())), "graphql", **those(by, twice))
    second["path"], second["status"] = path[twice], np.where(taken_s[twice] >= mended_s, 200, 403)
    looks = np.arange(0, n, 8)
    own = at_home(scene, len(looks), 0.3) | {"user": user[looks]}
    comes_s = taken_s[looks] + rng.uniform(0.02, 0.1, len(looks)) * lasts_s
    parts += [second, scene.requests(comes_s, "login", **own), scene.requests(comes_s + 15 * pace, "account", **own)]
    return together(*parts, scene.requests(comes_s + 40 * pace, "profile", **own))


@case()
def quota_midnight(scene: Scene) -> Rows:
    """Partners' keys may ask so often a day, and what is left for tomorrow begins for all in the second of midnight.

    A key for each 125 accounts, an address each, an item every twenty-five seconds. One after the other they have used
    their day up between an eighth of the run and three eighths, and are refused (403): a third of the programs ask on,
    every fifteen seconds, a third every minute, the others every five, until midnight, six tenths into the run. Within
    four seconds of it each begins with what it put off, a hundred to two hundred items at two a second, and goes on as
    before; every eighth has thereby used this day up, too, and asks on in vain.

    Source: Google, YouTube Data API, guide to quotas (ten thousand units a day, 403 when they are used up, anew at
    midnight Pacific time), as of 2024; that clients' work starts at the reset is general practice.
    """
    rng, partners = scene.rng, max(8, scene.clients // 125)
    midnight_s, parts = scene.moment(0.58, 0.62), []
    ip = scene.addresses(partners, "partner")
    for one in range(partners):
        who = one_client(int(ip[one]), scene.key(f"key-poll-day-{one:02d}"), scene.tool(_CALLS[one % 3]))
        used_s = scene.moment(0.125, 0.375)
        every_s = (15.0, 60.0, 300.0)[one % 3]
        begins_s = midnight_s + rng.uniform(0, 4)
        kept = int(rng.integers(100, 201))
        late_s = begins_s + np.arange(kept) / 2 + rng.uniform(0, 0.2, kept)
        parts.append(_asked(scene, scene.regular(0, used_s, 25.0, 0.1), 200, who))
        parts.append(_asked(scene, scene.regular(used_s, midnight_s, every_s, 0.03), 403, who))
        parts.append(_asked(scene, late_s, 200, who))
        spent = one % 8 == 0
        on_s = scene.regular(float(late_s[-1]) + 5, scene.span_s, every_s if spent else 25.0, 0.05)
        parts.append(_asked(scene, on_s, 403 if spent else 200, who))
    return together(*parts)


def _asked(scene: Scene, at_s: Seconds, status: int, who: dict[str, Ints]) -> Rows:
    """Items by their number, any of them."""
    path: Ints = scene.world.api_items[scene.rng.integers(0, 2000, len(at_s))]
    return scene.requests(at_s, "api_item", path=path, status=status, user=ABSENT, **who)
