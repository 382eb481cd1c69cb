"""First sight: hard good cases of who looks on behalf of people: mailboxes, other searches, a study."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.people import daily
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.world import ABSENT, ITEMS, SEARCHES, zipf

_MAILBOXES: Final = ("Mozilla/5.0", "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via imageproxy.example)")


@case()
def mail_pictures(scene: Scene) -> Rows:
    """A letter goes out, and two mail providers fetch the pictures in it for everybody, before anybody has opened it.

    To half of all who have an account. Two in three have their mail with one of the two: forty machines of theirs
    fetch each one's own tiny picture, under an address nobody else has, within an hour and a quarter, and in one of
    four the letter's head as well; all 200, no page, no script. One in eight really opens the letter later and follows
    it to its item, from home.
    """
    rng, n = scene.rng, max(20, scene.clients // 2)
    sent_s, lasts_s = scene.moment(0.15, 0.4), min(4500.0, 0.2 * scene.span_s)
    proxied = np.flatnonzero(rng.random(n) < 2 / 3)
    provider = rng.integers(0, 2, len(proxied))
    at_s = sent_s + lasts_s * rng.beta(1.2, 2.5, len(proxied))
    machines = scene.addresses(40, "hosting")[provider * 20 + rng.integers(0, 20, len(proxied))]
    agents = scene.world.agents.all(_MAILBOXES)[provider]
    hidden = [f"/mail/57/{one:012x}/seen.gif" for one in rng.integers(1 << 44, 1 << 48, len(proxied))]
    own = scene.requests(at_s, "missing", path=hidden, ip=machines, ua=agents)
    more = rng.random(len(proxied)) < 0.25
    who = {"ip": machines[more], "ua": agents[more]}
    head_s = at_s[more] + rng.uniform(0.1, 0.8, int(more.sum()))
    head = scene.requests(head_s, "missing", path="/mail/57/head.jpg", **who)
    opens = max(3, n // 8)
    ip = scene.addresses(opens, "home")
    opened_s = sent_s + 600 + rng.gamma(1.5, min(3600.0, 0.1 * scene.span_s), opens)
    who = {"ip": ip, "ua": scene.browser(ip), "user": scene.accounts(opens, distinct=True)}
    item = scene.requests(opened_s, "item", path="/items/812?utm_source=mail&utm_campaign=57", **who)
    return together(own, head, item)


@case()
def metasearch_instances(scene: Scene) -> Rows:
    """Volunteers run thirty search engines that ask others, and for each question of their users they search here too.

    Seven searches for every five hundred requests of people (2,300 in nine hours at 5 a second), by the hour of the
    day, from thirty rented machines, a few of which most people use. As the program is made, each question comes under
    another browser's name, and no script or item goes with it; for one in six the second and third page follow within
    seconds. One in twenty-five fails (503). One user in five follows what he found, from home.
    """
    rng = scene.rng
    n = max(12, round(scene.requests_per_s * scene.span_s * 0.014))
    at_s = daily(scene, n, scene.start_ms)
    machines = scene.addresses(30, "hosting")[zipf(rng, n, 30)]
    term = zipf(rng, n, SEARCHES, 1.3)
    ua = scene.world.browsers[rng.integers(0, len(scene.world.browsers), n)]
    status = scene.mostly(n, 200, 503, 0.04)
    parts = [scene.requests(at_s, "search", path=scene.world.searches[term], ip=machines, ua=ua, status=status)]
    on = np.flatnonzero(rng.permutation(n) % 6 == 0)
    for page in (2, 3):
        path = [f"/search?q=term{one}&page={page}" for one in term[on].tolist()]
        names = scene.world.browsers[rng.integers(0, len(scene.world.browsers), len(on))]
        wait_s = (page - 1) * rng.uniform(3, 12, len(on))
        parts.append(scene.requests(at_s[on] + wait_s, "search", path=path, ip=machines[on], ua=names))
    follow = np.flatnonzero(rng.permutation(n) % 5 == 0)
    ip = scene.addresses(len(follow), "home")
    found_s = at_s[follow] + rng.uniform(4, 40, len(follow))
    item = scene.world.items[zipf(rng, len(follow), ITEMS)]
    parts.append(scene.requests(found_s, "item", path=item, ip=ip, ua=scene.browser(ip)))
    return together(*parts)


@case()
def price_study(scene: Scene) -> Rows:
    """Researchers want to know whether everybody is shown the same price, and have many look at one thing at once.

    Twenty-four places: fourteen homes of volunteers, six telephones at their carriers, four rented machines abroad,
    each with another browser, six of them signed in. Six rounds, an hour apart: eight items for each request a second
    of people (40 at 5), the same each time, one in twenty seconds; first all search for it within the same second,
    then all open it two seconds later. The answers lie side by side in a paper afterwards, with our name under it.
    """
    rng = scene.rng
    ip = np.concatenate([scene.addresses(14, "home"), scene.addresses(6, "mobile"), scene.addresses(4, "hosting")])
    places = len(ip)
    user = np.full(places, ABSENT)
    user[:6] = scene.accounts(6, distinct=True)
    ua = scene.world.browsers[np.arange(places) % len(scene.world.browsers)]
    basket, parts = zipf(rng, min(60, max(8, round(scene.requests_per_s * 8))), 900), []
    begin_s, every_s = scene.moment(0.02, 0.1), min(3600.0, 0.14 * scene.span_s)
    rounds_s = begin_s + np.arange(6) * every_s
    at_s = (rounds_s[:, None] + np.arange(len(basket)) * min(20.0, every_s / 70)).ravel()
    asked = np.tile(basket, 6).repeat(places)
    who = {name: np.tile(codes, len(at_s)) for name, codes in (("ip", ip), ("user", user), ("ua", ua))}
    for endpoint, wait_s, path in (("search", 0.0, scene.world.searches), ("item", 2.0, scene.world.items)):
        when_s = at_s.repeat(places) + wait_s + rng.uniform(0, 0.6, len(asked))
        parts.append(scene.requests(when_s, endpoint, path=path[asked], **who))
    return together(*parts)
