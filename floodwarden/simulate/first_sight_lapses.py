"""First sight: hard good cases of machines: tokens and certificates that lapse, a network shared, hooks led astray."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.machines import backing_off
from floodwarden.simulate.people import typos
from floodwarden.simulate.scene import Rows, Scene, Seconds, again, one_client, together
from floodwarden.simulate.world import ABSENT, ITEMS, Ints

_JOBS: Final = (
    ("glab/1.36.0", 300.0),
    ("renovate/37.340.5", 900.0),
    ("backup-sync/2.8", 3600.0),
    ("ci-runner/16.11", 0),
)
_CLIENTS: Final = ("CertBot/1.2.0 (certbot; Ubuntu 18.04.4 LTS)", "acme.sh/2.8.5 (https://github.com/acmesh-official)")
_ORDER: Final = "/api/graphql?op=newOrder"
_PENDING: Final = "/api/graphql?op=authorization&name={}"
_READY: Final = "/api/graphql?op=finalize&name={}"
_TENANTS: Final = 16  # of a /64
_SENDERS: Final = ("Mollie HTTP client/1.0", "ParcelHook/3.4 (Java 17)", "BuildHooks/5.1", "MailEvents/2.2")
_OFF: Final = 5  # in a row, until a hook is switched off
_HOOK: Final = "/hooks/payments"


@case()
def yearly_tokens(scene: Scene) -> Rows:
    """Tokens may not be good for ever any more, were given a year, and on one day that year is over for most of them.

    A customer for each 40 accounts, at hosting companies, a key each: one that asks every five minutes, one every
    quarter of an hour, one every hour (two to five requests each, 200), one whose builds come as they come (four to
    nine). From one moment on two in three keys are refused (401). Timers ask once a time and come again; builds try
    each step four times, ten seconds apart, and are begun again by hand up to twice; programs that stay up begin anew,
    later each time, up to five minutes. An owner finds out soon or late, within four tenths of the run: in by browser,
    with typos, account, a new key; from then on all is well, but at every sixth a second job was forgotten, which asks
    with the old key every ten minutes to the end (401).

    Source: GitLab 16.0 (2023-05-22), which gave all tokens without an end one within a year; on 2024-05-14 many ended,
    by its documentation, "Access tokens expired unexpectedly", 2024.
    """
    rng, customers, parts = scene.rng, max(9, scene.clients // 40), []
    begin_s, ip = scene.moment(0.15, 0.3), scene.addresses(customers, "hosting")
    for one in range(customers):
        name, every_s = _JOBS[one % 4]
        who = one_client(int(ip[one]), scene.key(f"key-app-year-{one:03d}"), scene.tool(name))
        builds_s = scene.scattered(max(3, round(scene.span_s / 1800)), scene.span_s)
        runs_s = scene.regular(0, scene.span_s, every_s, 0.01) if every_s else builds_s
        steps = int(rng.integers(2, 6)) if every_s else int(rng.integers(4, 10))
        if one % 3 == 0:
            parts.append(_run(scene, runs_s, steps, who))
            continue
        mended_s = begin_s + (0.02 + 0.38 * rng.beta(1.1, 1.6)) * scene.span_s
        anew = who | {"key": np.array([scene.key(f"key-app-year-{one:03d}b")])}
        ill_s = runs_s[(runs_s > begin_s) & (runs_s < mended_s)]
        parts += [
            _run(scene, runs_s[runs_s < begin_s], steps, who),
            _run(scene, runs_s[runs_s > mended_s], steps, anew),
        ]
        if not every_s:
            ill_s = np.concatenate([ill_s + 500 * rerun for rerun in range(int(rng.integers(1, 4)))])
            ill_s = (ill_s[:, None] + 10.0 * np.arange(4)).ravel()
        elif one % 4 == 1:
            ill_s = backing_off(scene, float(begin_s + rng.uniform(0, 60)), mended_s, 10.0, 300.0)
        parts.append(scene.requests(ill_s, "api_items", status=401, **who))
        parts.append(_renewed(scene, mended_s))
        if one % 6 == 1:
            forgotten_s = scene.regular(begin_s, scene.span_s, 600.0, 0.01)
            parts.append(scene.requests(forgotten_s, "api_orders", status=401, **who))
    return together(*parts)


def _run(scene: Scene, begins_s: Seconds, steps: int, who: dict[str, Ints]) -> Rows:
    """So many requests at each beginning, a second or two apart."""
    nth = np.tile(np.arange(steps), len(begins_s))
    at_s = np.repeat(begins_s, steps) + 1.4 * nth + scene.rng.uniform(0, 0.6, len(nth))
    path = scene.world.api_items[40 * steps + nth]
    return scene.requests(at_s, "api_item", path=path, **who)


def _renewed(scene: Scene, at_s: float) -> Rows:
    """An owner makes himself a new key, by browser."""
    ip = scene.addresses(1, "home")
    by = {"ip": ip, "user": scene.accounts(1), "ua": scene.browser(ip)}
    wrong_s = at_s - 90 - 11.0 * np.arange(float(typos(scene, 1)[0]))
    steps = (("login", 80.0), ("account", 60.0), ("token", 15.0))
    made = [scene.requests(np.array([at_s - before_s]), endpoint, **by) for endpoint, before_s in steps]
    return together(*made, scene.requests(wrong_s, "login", status=401, **by))


@case()
def revoked_certificates(scene: Scene) -> Rows:
    """Certificates were made without a look that is due, are revoked tomorrow, and everybody has his made anew today.

    A host for each 25 accounts, a key each, one to twelve names, over half of the run, most in its beginning; one in
    twenty is a hosting company with sixty, one after the other without a pause. For each name a token, an order (201;
    one in six finds nobody, 503, and is made again after five, ten and twenty seconds), asked for every few seconds,
    two to six times, then fetched. One name in seven leads elsewhere by now (403): it is ordered again at once, five
    times, and from then on refused (429); half of these programs say so and stop, half try every minute, fifteen to
    forty times.

    Source: Let's Encrypt, "2020.02.29 CAA rechecking bug" (three million certificates to be revoked within days, all
    of them to be renewed before), 2020-02-29 to 2020-03-05.
    """
    rng, hosts, parts = scene.rng, max(10, scene.clients // 25), []
    begin_s, lasts_s = scene.moment(0.1, 0.3), 0.5 * scene.span_s
    ip = scene.addresses(hosts, "hosting")
    for one in range(hosts):
        who = one_client(int(ip[one]), scene.key(f"key-app-cert-{one:03d}"), scene.tool(_CLIENTS[one % 2]))
        n = 60 if one % 20 == 7 else int(1 + 11 * rng.random() ** 2)
        each_s = rng.uniform(20, 34)
        begins_s = begin_s + 0.7 * lasts_s * rng.beta(0.9, 3) + np.arange(float(n)) * each_s
        named = [f"h{one:03d}n{name:02d}" for name in range(n)]
        parts.append(scene.requests(begins_s, "token", **who))
        busy, nth = again((rng.random(n) < 1 / 6) * rng.integers(1, 4, n))
        parts.append(scene.requests(begins_s[busy] + 0.5 + 0.05 * nth, "graphql", path=_ORDER, status=503, **who))
        parts[-1]["ts_ms"] += (5000 * (2**nth - 1)).astype(np.int64)
        waits_s = np.array([0.0, 5.0, 15.0, 35.0])[np.bincount(busy, minlength=n)]
        ordered_s = begins_s + 1 + waits_s
        parts.append(scene.requests(ordered_s, "graphql", path=_ORDER, status=201, **who))
        polls, nth = again(rng.integers(2, 7, n))
        path = [_PENDING.format(named[name]) for name in polls.tolist()]
        parts.append(scene.requests(ordered_s[polls] + 1 + nth * 2.5, "graphql", path=path, **who))
        done_s = ordered_s + 2 + np.bincount(polls) * 2.5
        gone = rng.random(n) < 1 / 7
        good = [_READY.format(name) for name, lost in zip(named, gone.tolist(), strict=True) if not lost]
        parts.append(scene.requests(done_s[~gone], "graphql", path=good, **who))
        parts.append(scene.requests(done_s[~gone] + 1.5, "exported", path="/api/v1/exports/certificate", **who))
        more = [int(rng.integers(15, 41)) if one % 2 == 0 else 1 for _ in range(n)]
        lost = np.flatnonzero(gone).tolist()
        parts += [_elsewhere(scene, float(done_s[name]), named[name], more[name], who) for name in lost]
    return together(*parts)


def _elsewhere(scene: Scene, since_s: float, name: str, tries: int, who: dict[str, Ints]) -> Rows:
    """A name that leads elsewhere: ordered and refused five times, then too often."""
    failed_s = since_s + 9.0 * np.arange(5.0)
    limited_s = since_s + 45 + 60.0 * np.arange(float(tries))
    return together(
        scene.requests(failed_s, "graphql", path=_READY.format(name), status=403, **who),
        scene.requests(failed_s[1:] - 6, "graphql", path=_ORDER, status=201, **who),
        scene.requests(limited_s, "graphql", path=_ORDER, status=429, **who),
    )


@case()
def shared_prefix(scene: Scene) -> Rows:
    """A hosting company gives each machine sixteen addresses of one /64, and all its customers look like one there.

    Such a /64 for each 400 accounts, sixteen machines of sixteen customers in each, an address and a key of its own.
    Of eight, four are pollers (one request in one to four minutes, 200), one walks 150 items every two hours, two a
    second, one reads articles without a key every five minutes, one is a monitor that signs in and looks at its account
    every five minutes; and the eighth has had no owner for a year: its key is over, and it asks every minute and a half
    all day long (401), for four tenths of the run a second program at its side as well.

    Source: DigitalOcean, "IPv6 limits" (sixteen addresses, a /124, for each machine), 2025-02-11, as it has been since
    2014; whom lists and limits by /64 took for one, by its customers' forum over the years.
    """
    rng, world, parts = scene.rng, scene.world, []
    for prefix in range(max(2, scene.clients // 400)):
        for tenant, ip in enumerate(scene.subscriber(_TENANTS, "office6").tolist()):
            kind, ua = tenant % 8, scene.tool(None if tenant % 8 < 4 else f"tenant-{prefix}-{tenant}/1.0")
            who = one_client(ip, scene.key(f"key-app-drop-{prefix:02d}{tenant:02d}"), ua)
            nobody = who | {"key": np.array([ABSENT])}
            at_s = scene.regular(0, scene.span_s, rng.uniform(60, 240) if kind < 4 else 300.0, 0.02)
            match kind:
                case 0 | 1 | 2 | 3:
                    parts.append(scene.requests(at_s, ("api_orders", "api_items")[kind % 2], **who))
                case 4:
                    for begins_s in scene.regular(0, max(scene.span_s, 7200.0), 7200.0, 0.05).tolist():
                        walk = world.api_items[(int(rng.integers(ITEMS)) + np.arange(150)) % ITEMS]
                        walked_s = min(begins_s, 0.9 * scene.span_s) + np.cumsum(rng.gamma(4, 1 / 8, 150))
                        parts.append(scene.requests(walked_s, "api_item", path=walk, **who))
                case 5:
                    read = world.articles[np.arange(len(at_s)) % 12]
                    parts.append(scene.requests(at_s, "article", path=read, **nobody))
                case 6:
                    watched = nobody | {"user": scene.accounts(1)}
                    parts.append(scene.requests(at_s, "login", **watched))
                    parts.append(scene.requests(at_s + 1.2, "account", **watched))
                case _:
                    over_s = scene.regular(0, scene.span_s, 90.0, 0.01)
                    more_s = scene.regular(0.3 * scene.span_s, 0.7 * scene.span_s, 60.0, 0.01)
                    parts.append(scene.requests(over_s, "api_orders", status=401, **who))
                    parts.append(scene.requests(more_s, "api_items", status=401, **who))
    return together(*parts)


@case()
def redirected_hooks(scene: Scene) -> Rows:
    """A release leads each address to the one with a stroke at its end, and machines that tell us things go astray.

    A sender for each 100 accounts (payments, parcels, builds, mails), an event every one to four minutes, at chance.
    For a quarter of the run each is led on (301). Two in five senders do not follow, and tell it again after one, five,
    thirty and 120 minutes, as long as it is so. Two in five follow with a GET, as a 301 has it, which is not taken
    (405), and try the same again five times, twice as late each time, from ten seconds on. The others switch the hook
    off after five in a row; their owner switches it on again soon after it is mended, and has all that was kept sent,
    three a second.

    Source: Mollie, "Redirecting webhook calls" in its documentation (a 301 makes a GET of the call, and what it told is
    lost), 2020-03-10; WooCommerce, issue 21490 (hooks switched off after redirects), 2018-10-03.
    """
    rng, senders, parts = scene.rng, max(6, scene.clients // 100), []
    begin_s, lasts_s = scene.moment(0.25, 0.45), scene.span_s / 4
    over_s = begin_s + lasts_s
    for sender, ip in enumerate(scene.addresses(senders, "hosting").tolist()):
        who = {"ip": np.array([ip]), "ua": np.array([scene.tool(_SENDERS[sender % 4])])}
        told_s = np.cumsum(rng.exponential(rng.uniform(60, 240), round(scene.span_s / 60)))
        told_s = told_s[told_s < scene.span_s]
        ill = (told_s > begin_s) & (told_s < over_s)
        parts.append(scene.requests(told_s[~ill], "callback", path=_HOOK, **who))
        kind, ill_s = sender % 5, told_s[ill]
        waits_s = np.array([0.0, 60, 360, 2160, 9360]) if kind < 2 else 10.0 * (2.0 ** np.arange(6) - 1)
        if kind == 4:
            kept_s = over_s + 0.02 * scene.span_s + np.arange(max(0, len(ill_s) - _OFF)) / 3
            parts.append(scene.requests(kept_s, "callback", path=_HOOK, **who))
            ill_s, waits_s = ill_s[:_OFF], np.zeros(1)
        event, nth = again(np.full(len(ill_s), len(waits_s)))
        at_s = ill_s[event] + waits_s[nth]
        still = at_s < over_s
        due = ~still & (nth > 0) & np.concatenate(([False], still[:-1]))  # the first one after it
        parts.append(scene.requests(at_s[still], "callback", path=_HOOK, status=301, **who))
        parts.append(scene.requests(at_s[due], "callback", path=_HOOK, **who))
        if kind in {2, 3}:
            parts.append(scene.requests(at_s[still] + 0.2, "missing", path=_HOOK + "/", status=405, **who))
    return together(*parts)
