"""Hard good cases of how people get here, and how they read: a proxy, no cache, no pictures, an audit."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.people import Visit, browse
from floodwarden.simulate.scene import Rows, Scene, Seconds, together
from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES, zipf

_TEXT_BROWSERS: Final = (
    "Lynx/2.9.2 libwww-FM/2.14 SSL-MM/1.4.1 OpenSSL/3.0.13", "w3m/0.5.3+git20240105", "ELinks/0.17.1 (textmode; Linux)",
)  # fmt: skip
_VIEWS: Final = 10
_AUDITED: Final = 40


@case()
def impatient_proxy(scene: Scene) -> Rows:
    """A carrier's proxy loses patience: for two hours whatever takes longer than two seconds is asked a second time.

    As many visits as the site has requests in 18 seconds (90 at 5 a second) behind four addresses. Three requests in
    ten come twice, two to three seconds apart, the same in everything; what a form did the first time it will not do
    again (409), and carts have two of it.
    """
    rng = scene.rng
    n = max(30, round(scene.requests_per_s * 18))
    start_s = scene.moment(0.2, 0.6) + np.sort(rng.uniform(0, min(7200.0, 0.3 * scene.span_s), n))
    known = rng.random(n) < 0.5
    visit = Visit(
        start_s=start_s,
        requests=rng.geometric(1 / 12, n) + 2,
        ip=scene.addresses(4, "cgnat")[rng.integers(0, 4, n)],
        user=np.where(known, scene.accounts(n, distinct=True), ABSENT),
        ua=scene.world.browsers[rng.integers(12, 16, n)],
        failures=np.full(n, ABSENT),
        known=known,
    )
    made = browse(scene, visit)
    again = made[rng.random(len(made)) < 0.3].copy()
    again["ts_ms"] += rng.integers(2000, 3000, len(again))
    forms = np.isin(again["endpoint"], [ENDPOINT_CODES[name] for name in ("pay", "checkout", "register", "review")])
    again["status"][forms] = 409
    return together(made, again)


@case()
def cdn_bypass(scene: Scene) -> Rows:
    """The network that keeps the scripts is down for twenty-five minutes, and all of them are fetched from here.

    As many visitors as the site has requests in 40 seconds (200 at 5 a second), from home and behind carriers: three to
    six pages each, and with each page all six scripts within a second and a half, every time anew (200, never 304); one
    in twenty fails (503) and is asked for again.
    """
    rng = scene.rng
    n = max(30, round(scene.requests_per_s * 40))
    begin_s = scene.moment(0.2, 0.7)
    shared = scene.addresses(max(4, n // 20), "cgnat")
    ip = np.where(rng.random(n) < 0.2, shared[rng.integers(0, len(shared), n)], scene.addresses(n, "home"))
    ua = scene.world.browsers[rng.integers(0, 16, n)]
    pages = np.repeat(np.arange(n), rng.integers(3, 7, n))
    nth = np.arange(len(pages)) - np.searchsorted(pages, pages)
    came_s = rng.uniform(0, min(1300.0, 0.15 * scene.span_s), n)
    at_s = begin_s + came_s[pages] + nth * rng.uniform(15, 50, len(pages))
    path = scene.world.items[zipf(rng, len(pages), len(scene.world.items))]
    seen = scene.requests(at_s, "item", path=path, ip=ip[pages], ua=ua[pages])
    scripts = np.repeat(np.arange(len(pages)), 6)
    which = pages[scripts]
    fetched_s = at_s[scripts] + rng.uniform(0.1, 1.5, len(scripts))
    static = np.tile(scene.world.statics, len(pages))
    failed = scene.mostly(len(scripts), 200, 503, 0.05)
    fetched = scene.requests(fetched_s, "static", path=static, ip=ip[which], ua=ua[which], status=failed)
    again = fetched[failed == 503].copy()
    again["status"], again["ts_ms"] = 200, again["ts_ms"] + rng.integers(1000, 3000, len(again))
    return together(seen, fetched, again)


@case()
def text_browsers(scene: Scene) -> Rows:
    """A reading room for the blind: fourteen people behind one address, with browsers that know text and no scripts.

    Three hours. Nobody loads a script, or sees a suggestion: a list, then what stands in it from the top, page after
    page in order, half a minute each as the voice reads it, its reviews now and then, and the next list. Three sign in,
    two at the second try.
    """
    rng, readers = scene.rng, 14
    ip, lasts_s = int(scene.addresses(1, "office")[0]), min(10_800.0, 0.4 * scene.span_s)
    begin_s, parts = scene.moment(0.1, 0.5), []
    agents, users = scene.world.agents.all(_TEXT_BROWSERS), scene.accounts(readers, distinct=True)
    for reader in range(readers):
        who = {"ip": ip, "ua": int(agents[reader % len(agents)])}
        came_s = begin_s + float(rng.uniform(0, 0.2 * lasts_s))
        at_s = came_s + scene.steady(1 / 30, 0.8 * lasts_s, shape=2.0)
        nth, n = np.arange(len(at_s)), len(at_s)
        page = int(rng.integers(1, 40)) + nth // 25
        item = (page * 24 + nth % 25 - 1) % len(scene.world.items)
        made = scene.requests(at_s, "item", path=scene.world.items[item], **who)
        lists = nth % 25 == 0
        made[lists] = scene.requests(at_s, "list", path=scene.world.lists[page % 240], **who)[lists]
        heard = ~lists & (rng.random(n) < 0.15)
        made[heard] = scene.requests(at_s, "reviews", path=scene.world.reviews[item], **who)[heard]
        if reader < 3:
            made["user"] = users[reader]
            status = [401, 200] if reader < 2 else [200]
            tried_s = np.array([came_s - 40.0, came_s - 25.0])[: len(status)]
            tried = scene.requests(tried_s, "login", path=None, user=int(users[reader]), **who)
            tried["status"] = status
            parts.append(tried)
        parts.append(made)
    return together(*parts)


@case()
def accessibility_audit(scene: Scene) -> Rows:
    """The authority has the shop's accessibility tested, as the law wants: forty pages, each in ten ways of seeing it.

    From three rented machines of the institute that does it, in four hours: page after page, each ten times within two
    minutes as ten browsers (large letters, high contrast, a screen reader), with two scripts every time. On the forms
    what is wrong is sent on purpose, to hear how it is said: sign-on 401, sign-up 422, profile 401, checkout 400.
    """
    rng = scene.rng
    pool, begin_s = scene.addresses(3, "hosting"), scene.moment(0.1, 0.4)
    names = [f"Mozilla/5.0 (X11; Linux x86_64) A11yAudit/3.2 (view-{one}) Chrome/138.0" for one in range(_VIEWS)]
    views, span_s = scene.world.agents.all(names), min(14_400.0, 0.45 * scene.span_s)
    page, view = np.repeat(np.arange(_AUDITED), _VIEWS), np.tile(np.arange(_VIEWS), _AUDITED)
    at_s = begin_s + page * span_s / _AUDITED + view * min(11.0, span_s / 900) + rng.uniform(0, 2, len(page))
    popular = zipf(rng, _AUDITED, 400)
    who = {"ip": pool[page % 3], "ua": views[view]}
    made = scene.requests(at_s, "item", path=scene.world.items[popular][page], **who)
    for number, endpoint, paths in (
        (1, "article", scene.world.articles[popular % 160]), (2, "list", scene.world.lists[popular % 60]),
        (3, "search", scene.world.searches[popular]),
    ):  # fmt: skip
        here = page % 4 == number
        made[here] = scene.requests(at_s, endpoint, path=paths[page], **who)[here]
    parts = [made]
    for nth in (0, 1):
        path = scene.world.statics[np.full(len(page), nth)]
        parts.append(scene.requests(at_s + rng.uniform(0.2, 1.5, len(page)), "static", path=path, **who))
    sent_s: Seconds = np.asarray(begin_s + span_s + np.arange(_VIEWS) * 30.0, np.float64)
    for nth, (endpoint, status) in enumerate((("login", 401), ("register", 422), ("profile", 401), ("checkout", 400))):
        parts.append(scene.requests(sent_s + 5 * nth, endpoint, ip=int(pool[0]), ua=views, status=status))
    return together(*parts)
