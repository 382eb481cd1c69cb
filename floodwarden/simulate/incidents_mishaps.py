"""Hard good cases of what goes wrong for people: a recall, sessions lost, a ship at sea, first steps."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.people import Visit, browse, typos
from floodwarden.simulate.scene import Rows, Scene, Seconds, scripted, together
from floodwarden.simulate.services import invoice_paths, orders_of
from floodwarden.simulate.world import ABSENT, Ints

_NOTICE = "/blog/recall-heater-h2"


@case()
def product_recall(scene: Scene) -> Rows:
    """A heater is recalled in the evening news: its buyers come for their invoices, many for the first time in years.

    As many as the site has requests in 50 seconds (250 at 5 a second), most within an hour. Notice, sign-on with
    typos; a quarter have forgotten their password (two to four 401, a reset, 202); orders, one to four invoices, and
    two to five messages to the assistant, who is overloaded at times (503, one in ten).
    """
    rng = scene.rng
    news_s, n = scene.moment(0.2, 0.6), max(30, round(scene.requests_per_s * 50))
    begins_s = news_s + np.minimum(rng.gamma(1.3, 1400, n), 10_800)
    ip = np.where(rng.random(n) < 0.8, scene.addresses(n, "home"), scene.addresses(n, "home6"))
    user, ua, forgot = scene.accounts(n, distinct=True), scene.browser(ip), rng.random(n) < 0.25
    notice = scene.requests(begins_s, "article", path=_NOTICE, ip=ip, ua=ua)
    failures = np.where(forgot, rng.integers(2, 5, n), typos(scene, n))
    tries = np.repeat(np.arange(n), failures)
    nth = np.arange(len(tries)) - np.searchsorted(tries, tries)
    failed_s = begins_s[tries] + 30 + nth * 15 + rng.uniform(0, 8, len(tries))
    who = {"ip": ip[tries], "user": user[tries], "ua": ua[tries]}
    failed = scene.requests(failed_s, "login", status=401, **who)
    lost = {"ip": ip[forgot], "user": user[forgot], "ua": ua[forgot]}
    reset = scene.requests(begins_s[forgot] + 95, "reset", status=202, **lost)
    in_s = begins_s + np.where(forgot, 200.0, 85.0) + rng.gamma(2, 15, n)
    inside = scripted(scene, in_s, [("login", 0.0, 200), ("orders", 8.0, 200)], ip=ip, user=user, ua=ua)
    parts = [notice, failed, reset, inside]
    for endpoint, times, wait_s in (
        ("invoice", rng.integers(1, 5, n), 20.0),
        ("assistant", rng.integers(2, 6, n), 120.0),
    ):
        by = np.repeat(np.arange(n), times)
        nth = np.arange(len(by)) - np.searchsorted(by, by)
        path = invoice_paths(scene, orders_of(scene, user[by], nth)) if endpoint == "invoice" else None
        status = scene.mostly(len(by), 200, 503, 0.1 if endpoint == "assistant" else 0.0)
        at_s = in_s[by] + wait_s + nth * 25 + rng.uniform(0, 15, len(by))
        who = {"ip": ip[by], "user": user[by], "ua": ua[by]}
        parts.append(scene.requests(at_s, endpoint, path=path, status=status, **who))
    return together(*parts)


@case()
def lost_sessions(scene: Scene) -> Rows:
    """The store of sessions is restarted and forgets them all: whoever is here is thrown out, and signs in again.

    As many members as the site has requests in 40 seconds (200 at 5 a second), a fifth of them behind their carrier's
    addresses, all within six minutes. Account, cart or orders fail once to four times (401); then they sign in, with
    typos, and one in twelve has to ask for a new password first (202). All go on with what they did.
    """
    rng = scene.rng
    restart_s, n = scene.moment(0.2, 0.75), max(30, round(scene.requests_per_s * 40))
    notices_s = restart_s + np.minimum(rng.gamma(1.2, 80, n), 300)
    shared = scene.addresses(max(3, n // 15), "cgnat")
    ip = np.where(rng.random(n) < 0.2, shared[rng.integers(0, len(shared), n)], scene.addresses(n, "home"))
    user, ua = scene.accounts(n, distinct=True), scene.browser(rng.permutation(n))
    reloads = np.repeat(np.arange(n), rng.integers(1, 5, n))
    at_s = notices_s[reloads] + rng.uniform(0, 14, len(reloads))
    kind = rng.integers(0, 3, n)[reloads]
    who = {"ip": ip[reloads], "ua": ua[reloads]}
    thrown = scene.requests(at_s, "account", status=401, **who)
    for number, endpoint in ((1, "cart"), (2, "orders")):
        thrown[kind == number] = scene.requests(at_s, endpoint, status=401, **who)[kind == number]
    lost = rng.random(n) < 1 / 12
    in_s = notices_s + np.where(lost, 130.0, 50.0) + rng.uniform(0, 10, n)
    tries = np.repeat(np.arange(n), np.where(lost, 3, typos(scene, n)))
    tried_s = notices_s[tries] + 15 + rng.uniform(0, 30, len(tries))
    failed = scene.requests(tried_s, "login", ip=ip[tries], user=user[tries], ua=ua[tries], status=401)
    forgot = {"ip": ip[lost], "user": user[lost], "ua": ua[lost]}
    reset = scene.requests(notices_s[lost] + 60, "reset", status=202, **forgot)
    signed = scene.requests(in_s, "login", ip=ip, user=user, ua=ua)
    on = browse(scene, _visits(scene, in_s + 3, ip, user, ua))
    return together(thrown, failed, reset, signed, on)


@case()
def cruise_ship(scene: Scene) -> Rows:
    """A ship is at sea: all on board share four addresses of its satellites, and every hour they are four others.

    As many visits as the site has requests in 36 seconds (180 at 5 a second), spread over five hours. Half are members,
    who sign in with typos and, for it is not where they live, are asked for a code: the first one to three do not come
    in time (401); a third give up, the others are let in. Within a visit pages come from two of the four.
    """
    rng = scene.rng
    begin_s, lasts_s = scene.moment(0.1, 0.4), min(18_000.0, scene.span_s * 0.5)
    n = max(30, round(scene.requests_per_s * 36))
    begins_s, member = begin_s + scene.scattered(n, lasts_s), rng.random(n) < 0.5
    user, ua = np.where(member, scene.accounts(n), ABSENT), scene.world.browsers[rng.integers(4, 16, n)]
    asked = np.flatnonzero(member)
    tries = np.repeat(asked, typos(scene, n)[asked])
    gives_up = rng.random(n) < 1 / 3
    codes = np.repeat(asked, rng.integers(1, 4, len(asked)))
    nth = np.arange(len(codes)) - np.searchsorted(codes, codes)
    let_in = asked[~gives_up[asked]]
    parts = []
    for who, at_s, endpoint, status in (
        (tries, begins_s[tries] - rng.uniform(4, 40, len(tries)), "login", 401),
        (asked, begins_s[asked], "login", 200),
        (codes, begins_s[codes] + 50 + nth * 70 + rng.uniform(0, 30, len(codes)), "verify", 401),
        (let_in, begins_s[let_in] + 300, "verify", 200),
    ):
        made = scene.requests(at_s, endpoint, ip=who, user=user[who], ua=ua[who], status=status)
        parts.append(made)
    stay = np.flatnonzero(~member | ~gives_up)
    looks_s = begins_s[stay] + np.where(member[stay], 305.0, 0.0)
    made = together(*parts, browse(scene, _visits(scene, looks_s, stay, user[stay], ua[stay])))
    hours = int(made["ts_ms"].max() // 3_600_000) + 1
    pool = scene.addresses(4 * hours, "mobile")
    visit, hour = made["ip"].astype(np.int64), made["ts_ms"] // 3_600_000
    made["ip"] = pool[4 * hour + (visit + (rng.random(len(made)) < 0.3)) % 4]
    return made


@case()
def seniors_course(scene: Scene) -> Rows:
    """Eighteen beginners at an evening school learn to buy on the internet, all doing what is on the teacher's screen.

    One address, two hours, each step within three minutes of the others. Each fills the form in wrongly up to four
    times (422, and 409 for a name that is taken) and gets an account; signs out; signs in with one to five wrong
    passwords (401), five of them with a new one in the end (202); has a code wrong up to twice (401); finds the
    teacher's item, and tries his coupon, which is for one person (200 once, then 409).
    """
    rng, n = scene.rng, 18
    begin_s, step_s = scene.moment(0.2, 0.6), min(1000.0, scene.span_s * 0.03)
    ip, user = int(scene.addresses(1, "office")[0]), scene.strangers(n, "learner")
    ua, parts = scene.world.browsers[rng.integers(0, 3, n)], []

    def step(number: int, endpoint: str, who: Ints, status: Ints | int, path: Ints | str | None = None) -> Rows:
        """All at the teacher's word, one after the other where somebody does it more than once."""
        nth = np.arange(len(who)) - np.searchsorted(who, who)
        at_s = begin_s + number * step_s + rng.uniform(0, 60, n)[who] + nth * 20 + rng.uniform(0, 15, len(who))
        known = user[who] if number > 1 else np.full(len(who), ABSENT)
        parts.append(scene.requests(at_s, endpoint, path=path, ip=ip, user=known, ua=ua[who], status=status))
        return parts[-1]

    everybody: Ints = np.arange(n)
    step(0, "home", everybody, 200)
    forms = np.repeat(everybody, rng.integers(1, 6, n))
    last = np.concatenate((np.diff(forms) != 0, [True]))
    step(1, "register", forms, np.where(last, 200, rng.choice([422, 409], len(forms), p=[0.8, 0.2])))
    step(2, "logout", everybody, 200)
    step(3, "login", np.repeat(everybody, rng.integers(1, 6, n)), 401)
    step(4, "reset", np.sort(rng.permutation(n)[:5]), 202)
    step(4, "login", everybody, 200)["ts_ms"] += 120_000
    step(5, "verify", np.repeat(everybody, rng.integers(0, 3, n)), 401)
    step(5, "verify", everybody, 200)["ts_ms"] += 70_000
    step(6, "search", everybody, 200, path="/search?q=reading+glasses")
    step(6, "item", everybody, 200, path=np.full(n, scene.world.items[314]))["ts_ms"] += 60_000
    step(6, "cart_add", everybody, 200)["ts_ms"] += 120_000
    coupon = step(7, "coupon", everybody, 409)
    coupon["status"][np.argmin(coupon["ts_ms"])] = 200
    return together(*parts)


def _visits(scene: Scene, start_s: Seconds, ip: Ints, user: Ints, ua: Ints) -> Visit:
    """Visits of some pages, signed in already where there is an account."""
    n = len(start_s)
    many = np.minimum(scene.rng.geometric(1 / 9, n) + 1, 60)
    return Visit(start_s, many, ip, user, ua, failures=np.full(n, ABSENT), known=user != ABSENT)
