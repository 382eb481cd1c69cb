"""Attacks on the trade: places in a queue, coupons used twice, cards turned into money, clicks, spam."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import Ints

_COUPONS_AT_ONCE: Final = 24
_PULSE_S: Final = 18.0
_BETWEEN_S: Final = 120.0


@family(oat="OAT-017", weak=Strength(4, 0.6, 3000), medium=Strength(30, 2, 1200), strong=Strength(120, 8, 480))
def review_spam(scene: Scene, how: Strength) -> Rows:
    """Links are posted as reviews: an account signs in, opens an item, writes, opens the next, five times, and is left.

    Through a tunnel with many IPv6 networks side by side, a /64 for some accounts each. Most is taken; one review in
    six is held back (422), one in thirty refused (403). Items by chance, so none has more than a few.

    Source: Checkmarx, "How npm packages were used to spread phishing links" (15,000 in hours), 2023-02-21; OWASP
    Automated Threat Handbook 1.2, OAT-017, 2018-02-15.
    """
    rng, reviews = scene.rng, 5
    n = max(how.sources, int(how.sources * how.per_s * how.lasts_s / (1 + 2 * reviews)))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 110))
    ip = scene.by_turns(scene.addresses(how.sources, "tunnel6"), n)
    steps = [("login", 0.0, 200), *[("item", 6.0, 200), ("review", 14.0, 200)] * reviews]
    made = scripted(scene, begins_s, steps, ip=ip, user=scene.strangers(n, "writer"), ua=scene.browser(ip))
    for nth in range(reviews):
        items = rng.integers(0, len(scene.world.items), n)
        seen, written = slice((1 + 2 * nth) * n, (2 + 2 * nth) * n), slice((2 + 2 * nth) * n, (3 + 2 * nth) * n)
        made["path"][seen], made["path"][written] = scene.world.items[items], scene.world.reviews[items]
        made["status"][written] = rng.choice([200, 422, 403], n, p=[0.8, 0.165, 0.035])
    return made


@family(oat="OAT-003", weak=Strength(150, 0.1, 2400), medium=Strength(500, 0.3, 1500), strong=Strength(1200, 1, 600))
def ad_clicks(scene: Scene, how: Strength) -> Rows:
    """Advertisements are clicked by nobody: a landing page with a click's number, its script, and away.

    Three landing items, each click a number of its own, from homes worldwide and telephones; three in four load the
    script (a third of them from memory, 304). No second page, no account, no cart. Each click is paid for.

    Source: White Ops, "The Methbot operation", 2016-12-20; US Department of Justice, 3ve, 2018-11-27; HUMAN, BADBOX and
    PEACHPIT, 2023-10-04.
    """
    rng = scene.rng
    n = max(how.sources, int(how.sources * how.per_s * how.lasts_s / 1.75))
    at_s = scene.scattered(n, max(1.0, how.lasts_s - 5))
    third = how.sources // 3
    pool = np.concatenate([scene.addresses(third, "sim"), scene.addresses(how.sources - third, "bot")])
    ip = scene.by_turns(pool, n)
    landing, clicks = rng.integers(1, 2000, 3)[rng.integers(0, 3, n)], rng.integers(1 << 48, size=n)
    paths = [
        f"/items/{item}?utm_source=ads&utm_campaign=c{item % 7}&click={click:012x}"
        for item, click in zip(landing.tolist(), clicks.tolist(), strict=True)
    ]
    ua = _telephones(scene)[ip % 36]
    landed = scene.requests(at_s, "item", path=paths, ip=ip, ua=ua)
    loads = np.flatnonzero(rng.random(n) < 0.75)
    script = scene.requests(
        at_s[loads] + rng.gamma(2, 0.4, len(loads)), "static", path=scene.world.statics[0:1].repeat(len(loads)),
        ip=ip[loads], ua=ua[loads], status=scene.mostly(len(loads), 200, 304, 1 / 3),
    )  # fmt: skip
    return together(landed, script)


@family(oat="OAT-006", weak=Strength(10, 2, 1800), medium=Strength(40, 8, 900), strong=Strength(100, 30, 420))
def queue_jumping(scene: Scene, how: Strength) -> Rows:
    """Some buyers stand in the waiting room many times over, and ask for each of their places every minute.

    At home on IPv6: a place is another address of the /64, and another browser. One answer in thirty is that a place
    has come up, and the launched item is put into a cart at once, without a look at it; one request in fifteen is for a
    place that has lapsed (403).

    Source: Ticketmaster, "Taylor Swift The Eras Tour onsale explained" (3.5 billion requests in a day), 2022-11-19; US
    Senate Committee on the Judiciary, hearing of 2023-01-24.
    """
    rng = scene.rng
    at_s = scene.steady(how.sources * how.per_s * 30 / 31, max(1.0, how.lasts_s - 3), shape=1.5)
    n = len(at_s)
    each = max(1, int(how.per_minute))
    place = rng.permutation(n) % (how.sources * each)
    ip = np.concatenate([scene.subscriber(each) for _ in range(how.sources)])[place]
    ua = scene.world.browsers[place * 7 % len(scene.world.browsers)]
    asked = scene.requests(at_s, "queue", ip=ip, ua=ua, status=scene.mostly(n, 200, 403, 1 / 15))
    let_in = np.flatnonzero((asked["status"] == 200) & (rng.random(n) < 1 / 28))
    carts_s = at_s[let_in] + rng.uniform(0.2, 0.9, len(let_in))
    answer = scene.mostly(len(let_in), 200, 409, 0.3)
    return together(asked, scene.requests(carts_s, "cart_add", ip=ip[let_in], ua=ua[let_in], status=answer))


@family(weak=Strength(1, 2, 3000), medium=Strength(3, 12, 1200), strong=Strength(10, 60, 480))
def limit_overrun(scene: Scene, how: Strength) -> Rows:
    """One coupon is used many times over: two dozen requests with it arrive within a tenth of a second.

    Between looking whether it is used and noting that it is lies a moment; one to four of them get through (200), the
    rest is 409. A cart first, another account and coupon each time.

    Source: J. Kettle (PortSwigger), "Smashing the state machine: the true potential of web race conditions",
    2023-08-09; E. Homakov, "Hacking Starbucks for unlimited coffee", 2015-05-21.
    """
    rng, at_once = scene.rng, _COUPONS_AT_ONCE
    n = max(2, round(how.sources * how.per_s * how.lasts_s / (at_once + 1)))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 12))
    who = scene.addresses(how.sources, "hosting")
    ip, user = scene.by_turns(who, n), scene.strangers(n, "buyer")
    ua = scene.tool("python-httpx/0.27.0")
    filled = scene.requests(begins_s, "cart_add", ip=ip, user=user, ua=ua)
    at_s = np.repeat(begins_s + rng.uniform(4, 10, n), at_once) + rng.gamma(2, 0.025, n * at_once)
    status = np.where(np.tile(np.arange(at_once), n) < np.repeat(rng.integers(1, 5, n), at_once), 200, 409)
    used = scene.requests(
        at_s, "coupon", ip=np.repeat(ip, at_once), user=np.repeat(user, at_once), status=status, ua=ua
    )
    return together(filled, used)


@family(oat="OAT-012", weak=Strength(15, 0.25, 3000), medium=Strength(60, 1.5, 1200), strong=Strength(150, 6, 480))
def gift_card_cashout(scene: Scene, how: Strength) -> Rows:
    """Cards that are known to be good buy gift cards, which nobody sends and nobody can call back.

    A guest, the one item, cart, checkout, paid, and at once a look at what is on it; five in six payments are taken,
    and who is declined (402) goes. From homes in the card owners' countries, a purchase or a few an address.

    Source: Microsoft, Cyber Signals 7 on Storm-0539 (gift cards, up to 100,000 dollars a day at one company),
    2024-05-23; OWASP Automated Threat Handbook 1.2, OAT-012, 2018-02-15.
    """
    rng = scene.rng
    steps = [("item", 0.0, 200), ("cart_add", 5.0, 200), ("checkout", 6.0, 200), ("pay", 14.0, 200)]
    n = max(how.sources, int(how.sources * how.per_s * how.lasts_s / (len(steps) + 0.83)))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 45))
    ip = scene.by_turns(scene.addresses(how.sources, "neighbour"), n)
    ua = scene.browser(ip)
    made = scripted(scene, begins_s, steps, ip=ip, ua=ua)
    made["path"][:n] = scene.world.items[77]
    declined = rng.random(n) < 1 / 6
    made["status"][3 * n :][declined] = 402
    taken = np.flatnonzero(~declined)
    looks_s = made["ts_ms"][3 * n :][taken] / 1000 + rng.gamma(2, 4, len(taken))
    return together(made, scene.requests(looks_s, "balance", ip=ip[taken], ua=ua[taken]))


@family(oat="OAT-015", weak=Strength(40, 2, 1800), medium=Strength(200, 6, 900), strong=Strength(400, 20, 300))
def pulse_wave(scene: Scene, how: Strength) -> Rows:
    """A flood that comes for eighteen seconds in every two minutes, and is over before anybody has looked.

    Searches and what the box suggests, terms by chance, from hundreds of homes at once, each below the limit of an
    address; up to four in ten fail (503) while it lasts.

    Source: Imperva (I. Zeifman), "Attackers use DDoS pulses to pin down multiple targets", 2017-08-16; OWASP OAT-015.
    """
    rng = scene.rng
    n = max(how.sources, int(how.sources * how.per_s * how.lasts_s))
    pulses = max(1, round(how.lasts_s / _BETWEEN_S))
    begins_s = np.arange(pulses) * (how.lasts_s / pulses)
    at_s = begins_s[rng.integers(0, pulses, n)] + _PULSE_S * rng.beta(1.2, 1.2, n)
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), n)
    busy = min(0.4, n / pulses / _PULSE_S / 400)
    status, ua = scene.mostly(n, 200, 503, busy), scene.browser(ip)
    terms: Ints = rng.integers(0, len(scene.world.searches), n)
    made = scene.requests(at_s, "search", path=scene.world.searches[terms], ip=ip, status=status, ua=ua)
    typed = rng.random(n) < 0.4
    suggested = scene.requests(at_s, "suggest", path=scene.world.suggests[terms], ip=ip, status=status, ua=ua)
    made[typed] = suggested[typed]
    return made


def _telephones(scene: Scene) -> Ints:
    """36 telephones' browsers."""
    return scene.world.agents.all(
        [
            f"Mozilla/5.0 (Linux; Android {version}; {model}) AppleWebKit/537.36 Chrome/{chrome}.0.0.0 Mobile"
            for version in (12, 13, 14)
            for model in ("SM-A146B", "Redmi 12", "moto g54", "CPH2577")
            for chrome in (132, 135, 138)
        ]
    )
