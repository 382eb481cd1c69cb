"""Hard good cases of who is refused, or finds nothing, because of what somebody else has done to him."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Mask, case, change
from floodwarden.simulate.machines import backing_off
from floodwarden.simulate.people import at_home
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import ITEMS, zipf

_ASK: Final = "/api/graphql?op=askToBuy"
_ANSWER: Final = "/api/graphql?op=answerRequest"
_LAPSES_S: Final = 3600.0
_INDEX: Final = "/api/v1/exports/2026-01_index.json"
_FETCHERS: Final = ("python-requests/2.32.3", "aria2/1.37.0", "Go-http-client/2.0", "curl/8.5.0")


@case()
def layoff_morning(scene: Scene) -> Rows:
    """A firm lets people go: its directory closes their accounts within two minutes, and their programs ask on.

    As many as a 25th of the accounts, a third of them behind the firm's address, the others at home; the app asks for
    its feed every three minutes. Then the directory's machine changes account after account, and ends its sessions.
    Their apps ask twice as often (401), and for a token at every fourth time (401), for twenty minutes to three hours;
    two in three try to sign in, up to four times (403), and half of those ask for a new password (202) in between.
    """
    rng, n = scene.rng, max(9, scene.clients // 25)
    begin_s = scene.moment(0.3, 0.5)
    user, key = scene.accounts(n, distinct=True), scene.key("key-batch-directory")
    ip = np.where(np.arange(n) % 3 == 0, scene.addresses(1, "office")[0], scene.addresses(n, "home"))
    machine, ua = scene.addresses(1, "partner"), scene.tool("scim-provisioner/3.2")
    directory = {"ip": machine, "key": np.array([key]), "ua": np.array([ua])}
    closed_s = begin_s + np.arange(n) * 110 / n
    names = [f"/account?name={scene.world.users.texts[one]}&active=false" for one in user.tolist()]
    parts = [scene.requests(closed_s, "account_patch", path=names, **directory)]
    parts.append(scene.requests(closed_s + 0.3, "logout", **directory))
    app, longest_s = np.array([scene.tool("ShopApp/6.2.0 (Android 15)")]), min(10_800.0, 0.35 * scene.span_s)
    for one in range(n):
        who = {"ip": ip[one : one + 1], "user": user[one : one + 1], "ua": app}
        parts.append(scene.requests(scene.regular(0, closed_s[one], 180.0, 0.1), "app_feed", **who))
        lost_s = scene.regular(closed_s[one] + 1, closed_s[one] + rng.uniform(1 / 9, 1) * longest_s, 90.0, 0.1)
        parts.append(scene.requests(lost_s, "app_feed", status=401, **who))
        parts.append(scene.requests(lost_s[::4] + 0.5, "token", status=401, **who))
        if one % 3 == 2:
            continue
        tries_s = closed_s[one] + 60 + np.cumsum(rng.gamma(2, 40.0, int(rng.integers(1, 5))))
        parts.append(scene.requests(tries_s, "login", status=403, **who))
        if one % 6 < 2:
            parts.append(scene.requests(tries_s[:1] + 9, "reset", status=202, **who))
    return together(*parts)


@case()
def asking_children(scene: Scene) -> Rows:
    """Christmas afternoon: children with new tablets may buy only what a parent allows, and ask until one does.

    As many homes as the site has requests in twelve seconds (60 at 5 a second). The tablet registers and has a token;
    then the child looks at some things and asks (202), five to thirty times within two hours, and again a minute or
    two after each no. The parent's telephone, behind the same address or, for a third, at a carrier's, answers within a
    minute, one time in five with a yes, which is paid at once. In one home of eight a parent switches it off (profile),
    and the child asks three times more and is refused (403).
    """
    rng = scene.rng
    n, lasts_s = max(12, round(scene.requests_per_s * 12)), min(7200.0, 0.4 * scene.span_s)
    begins_s = scene.moment(0.25, 0.45) + 0.35 * lasts_s * rng.random(n)
    parent = at_home(scene, n, 1.0)
    tablet = scene.tool("ShopApp/6.1 (Android 15; Tablet; Family)")
    child = {"ip": scene.addresses(n, "home"), "user": scene.strangers(n, "child"), "ua": np.full(n, tablet)}
    parent["ip"] = np.where(rng.permutation(n) % 3 == 0, parent["ip"], child["ip"])
    parts = [scripted(scene, begins_s, [("device", 0.0, 201), ("token", 4.0, 200)], **child)]
    who = np.repeat(np.arange(n), rng.integers(5, 31, n))
    nth = np.arange(len(who)) - np.searchsorted(who, who)
    asked_s = begins_s[who] + 60 + nth * 0.6 * lasts_s / 30 + rng.uniform(0, 0.3 * lasts_s / 30, len(who))
    asks, answers = ({name: codes[who] for name, codes in by.items()} for by in (child, parent))
    looks = np.repeat(np.arange(len(who)), rng.integers(1, 4, len(who)))
    looked_s = asked_s[looks] - rng.uniform(3, 40, len(looks))
    looked = scene.requests(looked_s, "app_item", ip=asks["ip"][looks], user=asks["user"][looks], ua=tablet)
    looked["path"] = scene.world.paths.all([f"/api/v2/items/{one}" for one in zipf(rng, len(looks), 400).tolist()])
    answered_s = asked_s + rng.uniform(6, 55, len(who))
    parts += [looked, scene.requests(asked_s, "graphql", path=_ASK, status=202, **asks)]
    parts.append(scene.requests(answered_s, "graphql", path=_ANSWER, **answers))
    allowed = rng.permutation(len(who)) % 5 == 0
    paid = {name: codes[allowed] for name, codes in answers.items()}
    parts.append(scene.requests(answered_s[allowed] + rng.uniform(1, 4, int(allowed.sum())), "pay", **paid))
    last_s = np.array([answered_s[who == one].max() for one in range(n)])
    off = rng.permutation(n) % 8 == 0
    parts.append(scene.requests(last_s[off] + 30, "profile", **{name: codes[off] for name, codes in parent.items()}))
    thrice = np.repeat(np.flatnonzero(off), 3)
    again_s = last_s[thrice] + 50 + np.tile(np.arange(3), int(off.sum())) * 20 + rng.uniform(0, 10, len(thrice))
    refused = {name: codes[thrice] for name, codes in child.items()}
    return together(*parts, scene.requests(again_s, "graphql", path=_ASK, status=403, **refused))


@change()
def wrong_country(scene: Scene, made: Rows) -> Mask:
    """A new edition of the map of addresses puts a whole provider abroad, where the shop may not sell: 403.

    For forty minutes, at two of its three gateways, whatever customers of that provider ask for, with or without an
    account, by page, app or key; what comes by the third is answered as ever. Nobody else notices.
    """
    begin_ms = int(scene.moment(0.25, 0.7) * 1000)
    lasts_ms = int(min(2400.0, 0.2 * scene.span_s) * 1000)
    during = (made["ts_ms"] >= begin_ms) & (made["ts_ms"] < begin_ms + lasts_ms)
    provider = int(scene.rng.integers(64496, 64499))  # of those that have homes on IPv4 and IPv6
    theirs = np.array(scene.world.asns)[made["ip"]] == provider
    refused = during & theirs & (scene.rng.random(len(made)) < 2 / 3)
    made["status"][refused] = 403
    return np.asarray(refused)


@case()
def purged_edges(scene: Scene) -> Rows:
    """Somebody empties the whole cache of the network in front of us, and all its edges ask for everything at once.

    Twelve edges for each request a second of people (60 at 5), which no one has seen here, for two machines of the
    network's stand in front of them as a rule and ask for twenty pages a minute, nine in ten unchanged (304). After the
    purge each edge asks on its own for eighty to two hundred pages and scripts, the popular ones first, most within
    the first minutes, once each: what one has fetched the next one does not know. One in forty fails (503) and comes
    anew. An hour later it is done again, since a script was forgotten.
    """
    rng, edges = scene.rng, max(8, round(scene.requests_per_s * 12))
    ip, ua = scene.addresses(edges, "hosting"), scene.tool("edge-cache/7.2 (origin-pull)")
    world, purge_s = scene.world, scene.moment(0.25, 0.5)
    parts = []
    for purged_s in (purge_s, purge_s + min(3600.0, 0.2 * scene.span_s)):
        kept = rng.integers(80, 201, edges)
        edge = np.repeat(np.arange(edges), kept)
        nth = np.arange(len(edge)) - np.searchsorted(edge, edge)
        part = (nth + rng.random(len(edge))) / kept[edge]
        at_s = purged_s + 2 + min(1200.0, 0.08 * scene.span_s) * part**2.2
        failed = scene.mostly(len(edge), 200, 503, 1 / 40)
        made = scene.requests(at_s, "item", path=world.items[(nth * 7 + edge % 5) % 1500], ip=ip[edge], ua=ua)
        scripts = nth < len(world.statics)
        who = {"ip": ip[edge], "ua": np.full(len(edge), ua)}
        made[scripts] = scene.requests(at_s, "static", path=world.statics[nth % 6], **who)[scripts]
        articles = ~scripts & (nth % 6 == 0)
        made[articles] = scene.requests(at_s, "article", path=world.articles[nth % 160], **who)[articles]
        made["status"] = failed
        anew = made[failed == 503].copy()
        anew["status"], anew["ts_ms"] = 200, anew["ts_ms"] + 1500
        parts += [made, anew]
    usual_s = scene.steady(20 / 60, scene.span_s, shape=2.0)
    shield, n = scene.by_turns(scene.addresses(2, "hosting"), len(usual_s)), len(usual_s)
    path, status = world.items[zipf(rng, n, ITEMS)], scene.mostly(n, 304, 200, 0.1)
    parts.append(scene.requests(usual_s, "item", path=path, ip=shield, ua=ua, status=status))
    return together(*parts)


@case()
def expired_casters(scene: Scene) -> Rows:
    """Boxes behind televisions of one age hold a certificate that was good for ten years, and these are over.

    A box for each sixteen accounts, that has a token every hour. From that minute on it is not taken for one (403): it
    tries again after one second, two, four and so on, up to every ten minutes, for six hours. Two in three owners pull
    the plug, once to four times, and it begins anew; one in three clears it, though the maker begs them not to, and the
    app on the telephone beside it tries to set it up three to six times (403). When an update is out it is taken at its
    next try (201), and the cleared ones are set up.

    Source: Google, second-generation Chromecasts ("untrusted device"), 2025-03-09 to 2025-03-13: an intermediate
    certificate of ten years had expired (The Register, 2025-03-10: "Google begs owners not to hit factory reset").
    """
    rng, n = scene.rng, max(12, scene.clients // 16)
    begin_s, lasts_s = scene.moment(0.15, 0.35), min(21_600.0, 0.45 * scene.span_s)
    ip, end_s = scene.addresses(n, "home"), begin_s + lasts_s
    box = scene.tool("CastReceiver/1.56.500000 (armv7l; Linux 3.10)")
    app, users = scene.tool("HomeApp/3.30.1 (Android 15)"), scene.accounts(n, distinct=True)
    pulls, clears = rng.permutation(n) % 3 < 2, rng.permutation(n) % 3 == 0
    parts = []
    for one in range(n):
        usual_s = scene.regular(0, scene.span_s, 3600.0, 0.05)
        usual_s = usual_s[(usual_s < begin_s) | (usual_s > end_s + 600)]
        who = {"ip": int(ip[one]), "ua": box}
        path = f"/api/v2/devices?serial=CST{one:05d}"
        parts.append(scene.requests(usual_s, "token", path=None, **who))
        plugs = int(rng.integers(1, 5)) if pulls[one] else 0
        from_s = [begin_s + rng.uniform(0, 60), *np.sort(begin_s + lasts_s * rng.beta(1, 2, plugs)).tolist()]
        for first_s, last_s in zip(from_s, [*from_s[1:], end_s], strict=True):
            tried_s = backing_off(scene, first_s, last_s, 1.0, 600.0)
            parts.append(scene.requests(tried_s, "device", path=path, status=403, **who))
        again_s = np.array([end_s + rng.uniform(0, 600)])
        parts.append(scene.requests(again_s, "device", path=path, status=201, **who))
        if clears[one]:
            phone = {"ip": int(ip[one]), "user": int(users[one]), "ua": app}
            sets_s = begin_s + lasts_s * rng.uniform(0.1, 0.8) + np.cumsum(rng.uniform(20, 60, int(rng.integers(3, 7))))
            parts.append(scene.requests(sets_s, "device", path=f"{path}&setup=1", status=403, **phone))
            done_s = again_s + rng.uniform(60, 1500)
            parts.append(scene.requests(done_s, "device", path=f"{path}&setup=1", status=201, **phone))
    return together(*parts)


@case()
def mandated_files(scene: Scene) -> Rows:
    """The law makes the shop publish what it pays to whom, every month, in large files that firms fetch all of.

    A firm for each 120 accounts, at hosting companies, without a key. A half come within ten minutes of the hour, the
    others within four: the table of contents, then 240 files in its order, six to twenty-five seconds for each. One in
    twelve breaks off and is continued (206). What the table says holds for an hour: who is slower finds six files
    refused (403), fetches the table anew and these files after it.

    Source: US Centers for Medicare and Medicaid Services, Transparency in Coverage, files public since 2022-07-01;
    issue 728 of its guide (links with an expiry, answered 403), 2023-12-01.
    """
    rng, firms = scene.rng, max(3, scene.clients // 120)
    begin_s, parts = scene.moment(0.1, 0.25), []
    files = scene.world.paths.all([f"/api/v1/exports/2026-01_rates_{one:03d}_of_240.json.gz" for one in range(240)])
    for firm, ip in enumerate(scene.addresses(firms, "hosting").tolist()):
        late_s = rng.uniform(0, min(600.0, 0.05 * scene.span_s))
        if firm % 2:
            late_s = rng.uniform(0, min(14_400.0, 0.25 * scene.span_s))
        who = {"ip": ip, "ua": scene.tool(_FETCHERS[firm % len(_FETCHERS)])}
        mean_s = min(rng.uniform(6, 25), 0.35 * scene.span_s / len(files))
        table_s, at, tables_s = begin_s + late_s, 0, []
        while at < len(files):
            tables_s.append(table_s)
            got_s = table_s + 5 + np.cumsum(rng.gamma(3, mean_s / 3, len(files) - at))
            some = int((got_s < table_s + _LAPSES_S).sum())
            parts.append(scene.requests(got_s[:some], "exported", path=files[at : at + some], **who))
            broken = rng.random(some) < 1 / 12
            resumed_s, resumed = (
                got_s[:some][broken] + rng.uniform(2, 5, int(broken.sum())),
                files[at : at + some][broken],
            )
            parts.append(scene.requests(resumed_s, "exported", path=resumed, status=206, **who))
            at += some
            refused_s = got_s[some : some + 6]
            parts.append(scene.requests(refused_s, "exported", path=files[at : at + len(refused_s)], status=403, **who))
            table_s = float(refused_s[-1]) + 30 if len(refused_s) else table_s
        parts.append(scene.requests(np.array(tables_s), "exported", path=_INDEX, **who))
    return together(*parts)
