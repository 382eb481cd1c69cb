"""First sight: hard good cases between people and us: old browsers, hotels' portals, a network's edges."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.people import daily
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.world import ITEMS, zipf

_OLD: Final = (
    "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko",
    "Mozilla/5.0 (Linux; Android 4.4.2; GT-I9505) AppleWebKit/537.36 Chrome/30.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPad; CPU OS 9_3_5 like Mac OS X) AppleWebKit/601.1.46 Version/9.0 Safari/601.1",
    "Mozilla/5.0 (X11; U; Linux armv7l like Android; en-us) AppleWebKit/531.2+ Kindle/3.0+",
    "Mozilla/5.0 (PlayStation 4 8.52) AppleWebKit/605.1.15 (KHTML, like Gecko)",
)  # fmt: skip
_UNFILLED: Final = ("/%7B%7Bitem.picture%7D%7D", "/items/%7B%7Bnext.id%7D%7D", "/undefined", "/%5Bobject%20Object%5D")
_DEVICES: Final = (  # whom each kind of device asks whether there is a network, and what opens the portal
    ("/hotspot-detect.html", "CaptiveNetworkSupport-481.60.2 wispr"), ("/generate_204", "Dalvik/2.1.0 (Android 14)"),
    ("/connecttest.txt", "Microsoft NCSI"), ("/success.txt?ipv4", "Mozilla/5.0 Gecko/20100101 Firefox/140.0"),
)  # fmt: skip
_SMALL: Final = (6, 12, 3, 9)  # their browsers' places among all
_ASTRAY: Final = ("/v1/push/poll", "/mail/sync", "/weather/now.json", "/chat/ws", "/update/check")


@case()
def old_browsers(scene: Scene) -> Rows:
    """A release is written for browsers of today, and in those of ten years ago its pages stay half empty.

    As many people as the site has requests in twenty-five seconds (125 at 5 a second), over the rest of the run, from
    home: three to eight pages each. With every page two scripts, and then two to four things that no script has filled
    in: braces, "undefined", "object Object" (404). Two in five want to sign in, and their form says nothing that we
    understand (400), two to four times; a half of these get out their telephone and are in at once.
    """
    rng, n = scene.rng, max(10, round(scene.requests_per_s * 25))
    begin_s = scene.moment(0.1, 0.3)
    ip, ua = scene.addresses(n, "home"), scene.world.agents.all(_OLD)[rng.integers(0, len(_OLD), n)]
    comes_s = begin_s + rng.uniform(0, 0.6 * scene.span_s, n)
    page = np.repeat(np.arange(n), rng.integers(3, 9, n))
    nth = np.arange(len(page)) - np.searchsorted(page, page)
    at_s = comes_s[page] + nth * 35 + rng.uniform(0, 30, len(page))
    item = scene.world.items[zipf(rng, len(page), ITEMS)]
    parts = [scene.requests(at_s, "item", path=item, ip=ip[page], ua=ua[page])]
    for nth_script in range(2):
        script = scene.world.statics[np.full(len(page), nth_script)]
        parts.append(scene.requests(at_s + 0.4, "static", path=script, ip=ip[page], ua=ua[page]))
    gaps = np.repeat(np.arange(len(page)), rng.integers(2, 5, len(page)))
    which = np.arange(len(gaps)) - np.searchsorted(gaps, gaps)
    unfilled = scene.world.paths.all(_UNFILLED)[which]
    gap_s = at_s[gaps] + rng.uniform(0.6, 2.5, len(gaps))
    of = page[gaps]
    parts.append(scene.requests(gap_s, "missing", path=unfilled, ip=ip[of], ua=ua[of], status=404))
    wants = np.flatnonzero(rng.permutation(n) % 5 < 2)
    tries = np.repeat(wants, rng.integers(2, 5, len(wants)))
    turn = np.arange(len(tries)) - np.searchsorted(tries, tries)
    tried_s = comes_s[tries] + 40 + turn * 20 + rng.uniform(0, 10, len(tries))
    parts.append(scene.requests(tried_s, "login", ip=ip[tries], ua=ua[tries], status=400))
    gets_in = wants[::2]
    telephone = scene.world.browsers[12 + gets_in % 4]
    who = {"ip": ip[gets_in], "user": scene.accounts(len(gets_in), distinct=True), "ua": telephone}
    for endpoint, wait_s in (("login", 180.0), ("account", 186.0)):
        parts.append(scene.requests(comes_s[gets_in] + wait_s, endpoint, **who))
    return together(*parts)


@case()
def captive_portals(scene: Scene) -> Rows:
    """A chain of hotels has made our front page its guests' first, and until they press a button all of it comes here.

    Five hotels for each request a second (25 at 5), an address each, and as many devices as the site has requests in
    ninety seconds (450 at 5 a second), most in the evening. A device that joins asks every four seconds what its maker
    has it ask, three to nine times, and a half of them have programs that ask for something of theirs (404 all of it);
    then a small browser opens the front page with two scripts, and is gone. One in five joins anew after an hour.
    """
    rng = scene.rng
    hotels, n = max(4, round(scene.requests_per_s * 5)), max(20, round(scene.requests_per_s * 90))
    joins_s = daily(scene, n, scene.start_ms)
    again = np.flatnonzero(rng.permutation(n) % 5 == 0)
    hotel = scene.addresses(hotels, "office")[zipf(rng, n, hotels, 1.5)]
    kind = rng.choice(4, n, p=[0.4, 0.4, 0.15, 0.05])
    ip, kind = np.concatenate([hotel, hotel[again]]), np.concatenate([kind, kind[again]])
    joins_s = np.concatenate([joins_s, joins_s[again] + min(3600.0, 0.2 * scene.span_s)])
    asked = scene.world.paths.all([path for path, _ in _DEVICES])[kind]
    agent = scene.world.agents.all([name for _, name in _DEVICES])[kind]
    probe = np.repeat(np.arange(len(ip)), rng.integers(3, 10, len(ip)))
    nth = np.arange(len(probe)) - np.searchsorted(probe, probe)
    probe_s = joins_s[probe] + nth * 4.0 + rng.uniform(0, 0.5, len(probe))
    parts = [scene.requests(probe_s, "missing", path=asked[probe], ip=ip[probe], ua=agent[probe], status=404)]
    stray = np.repeat(np.flatnonzero(rng.random(len(ip)) < 0.5), 3)
    path = scene.world.paths.all(_ASTRAY)[rng.integers(0, len(_ASTRAY), len(stray))]
    stray_s = joins_s[stray] + rng.uniform(0, 20, len(stray))
    program = scene.tool("okhttp/4.12.0")
    parts.append(scene.requests(stray_s, "missing", path=path, ip=ip[stray], ua=program, status=404))
    shown_s = joins_s + 14 + rng.uniform(0, 10, len(ip))
    small = scene.world.browsers[np.array(_SMALL)[kind]]
    parts.append(scene.requests(shown_s, "home", ip=ip, ua=small))
    for script in (0, 1):
        path = scene.world.statics[np.full(len(ip), script)]
        parts.append(scene.requests(shown_s + 0.5, "static", path=path, ip=ip, ua=small))
    return together(*parts)
