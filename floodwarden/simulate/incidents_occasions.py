"""Hard good cases of days that bring people: a race, an Advent calendar, a riddle, a lockdown, a new year."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.people import typos
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import ABSENT, ITEMS, Ints

_STAGES: Final = 5
_WORDS: Final = ("anchor", "lantern", "river", "seven", "magpie", "copper", "north", "chapel", "orchard", "mirror")
_LAPSES_S: Final = 1200.0  # a session without a page
_PHRASE: Final = "warm woollen blanket for a wheelchair"
_GREETING: Final = "/api/graphql?op=sendMessage"


@case()
def lockdown_mornings(scene: Scene) -> Rows:
    """Nobody may go out, food comes by slots, and at six people press the button until they have one or none is left.

    As many as the site has requests in fifty seconds (250 at 5 a second). All have filled their carts the night before
    and look at them; from the full minute on they press checkout every one to three seconds, by hand, for one to three
    minutes: 409, one in ten 503. One in five is granted it in the end, and pays; the others try again half an hour
    later, for as long, in vain.
    """
    rng = scene.rng
    hour_s, n = scene.moment(0.25, 0.6), max(30, round(scene.requests_per_s * 50))
    ip, user = scene.addresses(n, "home"), scene.accounts(n, distinct=True)
    ua, lucky = scene.world.browsers[rng.integers(0, 16, n)], rng.permutation(n) % 5 == 0
    looked_s = hour_s - rng.uniform(20, 400, n)
    parts = [scripted(scene, looked_s, [("cart", 0.0, 200), ("cart", 30.0, 200)], ip=ip, user=user, ua=ua)]
    granted_s = np.zeros(n)
    for begin_s, who in ((hour_s, np.arange(n)), (hour_s + 1800, np.flatnonzero(~lucky))):
        presses = np.repeat(who, rng.integers(25, 90, len(who)))
        first = np.searchsorted(presses, presses)
        waits = np.cumsum(rng.uniform(1, 3, len(presses)))
        at_s = begin_s + rng.uniform(0, 3, n)[presses] + waits - waits[first]
        by = {"ip": ip[presses], "user": user[presses], "ua": ua[presses]}
        status = scene.mostly(len(presses), 409, 503, 0.1)
        parts.append(scene.requests(at_s, "checkout", status=status, **by))
        granted_s[presses] = np.maximum(granted_s[presses], at_s)
    n = int(lucky.sum())
    last_s = granted_s[lucky] + rng.uniform(1, 3, n)
    by = {"ip": ip[lucky], "user": user[lucky], "ua": ua[lucky]}
    granted = scene.requests(last_s, "checkout", **by)
    return together(*parts, granted, scene.requests(last_s + rng.uniform(8, 40, n), "pay", **by))


@case()
def race_photographs(scene: Scene) -> Rows:
    """A town has run, and everybody looks for his own picture by the number on his shirt, and for those of his friends.

    As many runners as the site has requests in 50 seconds (250 at 5 a second) within four hours, a quarter of them on
    the spot behind their carrier's addresses. A search for one's number two to six times, for pictures come by and by
    (nothing found before), and for the two or three numbers next to it, who ran together; then four to ten pictures.
    One in six buys.
    """
    rng, n = scene.rng, max(24, round(scene.requests_per_s * 50))
    begins_s = scene.moment(0.15, 0.4) + np.minimum(rng.gamma(1.6, min(3000.0, scene.span_s / 10), n), 14_400)
    shared = scene.addresses(max(3, n // 40), "cgnat")
    ip = np.where(rng.random(n) < 0.25, shared[rng.integers(0, len(shared), n)], scene.addresses(n, "crowd"))
    ua, number = scene.world.browsers[rng.integers(0, 16, n)], 100 + rng.permutation(4 * n)[:n]
    tries = rng.integers(2, 7, n)
    who = np.repeat(np.arange(n), tries)
    nth = np.arange(len(who)) - np.searchsorted(who, who)
    tried_s = begins_s[who] + nth * rng.gamma(3, 60, n)[who]
    own = [f"/search?q=start+number+{one}&event=town-run" for one in number[who].tolist()]
    parts = [scene.requests(tried_s, "search", path=own, ip=ip[who], ua=ua[who])]
    found_s = tried_s[np.cumsum(tries) - 1] + 10
    friends = np.repeat(np.arange(n), rng.integers(2, 4, n))
    next_to = np.arange(len(friends)) - np.searchsorted(friends, friends) + 1
    theirs = [f"/search?q=start+number+{one}&event=town-run" for one in (number[friends] + next_to).tolist()]
    asked_s = found_s[friends] + next_to * rng.uniform(8, 20, len(friends))
    parts.append(scene.requests(asked_s, "search", path=theirs, ip=ip[friends], ua=ua[friends]))
    seen = np.repeat(np.arange(n), rng.integers(4, 11, n))
    order = np.arange(len(seen)) - np.searchsorted(seen, seen)
    seen_s = found_s[seen] + 70 + order * rng.uniform(2, 5, len(seen))
    pictures = [
        f"/media/town-run/{one}-{two}.jpg" for one, two in zip(number[seen].tolist(), order.tolist(), strict=True)
    ]
    parts.append(scene.requests(seen_s, "missing", path=pictures, ip=ip[seen], ua=ua[seen]))
    buys = np.flatnonzero(rng.random(n) < 1 / 6)
    steps = [("cart_add", 0.0, 200), ("cart", 4.0, 200), ("checkout", 20.0, 200), ("pay", 35.0, 200)]
    parts.append(scripted(scene, found_s[buys] + 130, steps, ip=ip[buys], ua=ua[buys]))
    return together(*parts)


@case()
def advent_door(scene: Scene) -> Rows:
    """Behind each door of the calendar lies a coupon for who is first; it opens at the full hour, and all wait.

    As many members as the site has requests in 80 seconds (400 at 5 a second), here and signed in minutes before. In
    the last half-minute two in three try the door already, one to five times (404), as it opens all at once: who is
    first has it (200), half of them, for the others it is gone (409), and a third of those try twice again.
    """
    rng, n = scene.rng, max(30, round(scene.requests_per_s * 80))
    opens_s = max(1, round(scene.moment(0.35, 0.7) / 3600)) * 3600.0 if scene.span_s > 7200 else scene.span_s // 2
    shared = scene.addresses(max(4, n // 25), "cgnat")
    ip = np.where(rng.random(n) < 0.3, shared[rng.integers(0, len(shared), n)], scene.addresses(n, "home"))
    user, ua = scene.accounts(n, distinct=True), scene.world.browsers[rng.integers(0, 16, n)]
    who = {"ip": ip, "user": user, "ua": ua}
    comes_s = opens_s - 40 - rng.gamma(1.5, 110, n)
    failures = typos(scene, n)
    failed = np.repeat(np.arange(n), failures)
    wrong = scene.requests(comes_s[failed] - rng.uniform(4, 30, len(failed)), "login", status=401, **_of(who, failed))
    signed = scripted(scene, comes_s, [("login", 0.0, 200), ("account", 3.0, 200), ("article", 5.0, 200)], **who)
    signed["path"][2 * n :] = scene.world.paths.code("/blog/advent-calendar")
    early = np.repeat(np.arange(n), np.where(rng.random(n) < 2 / 3, rng.integers(1, 6, n), 0))
    early_s = opens_s - rng.uniform(0.2, 30, len(early))
    tried = scene.requests(early_s, "coupon", status=404, **_of(who, early))
    tries_s = opens_s + 0.2 + rng.gamma(1.5, 2.5, n)
    late = np.argsort(np.argsort(tries_s)) >= n // 2
    opened = scene.requests(tries_s, "coupon", status=np.where(late, 409, 200), **who)
    again = np.repeat(np.flatnonzero(late & (rng.random(n) < 1 / 3)), 2)
    again_s = tries_s[again] + np.tile([3.0, 9.0], len(again) // 2) + rng.uniform(0, 3, len(again))
    vain = scene.requests(again_s, "coupon", status=409, **_of(who, again))
    return together(wrong, signed, tried, opened, vain)


@case()
def riddle_hunt(scene: Scene) -> Rows:
    """The shop hides five pages and gives a riddle for each; people who love riddles guess what they are called.

    As many players as the site has requests in half a minute (150 at 5 a second), over four hours: ten to forty made-up
    pages each (404), some seconds apart, alone or eight together behind one address of a school. As soon as somebody
    has a page (200) the forum knows, and within ten minutes most who are still there open it and read the next riddle.
    """
    rng, n = scene.rng, max(16, round(scene.requests_per_s * 30))
    begin_s, lasts_s = scene.moment(0.1, 0.35), min(14_400.0, scene.span_s * 0.45)
    ip, ua = scene.addresses(n, "home"), scene.world.browsers[rng.integers(0, 16, n)]
    ip[:8] = scene.addresses(1, "office")[0]
    comes_s, stays_s = rng.uniform(0, lasts_s * 0.6, n), lasts_s * 0.4
    comes_s[0] = 0.0
    guesses = np.repeat(np.arange(n), rng.integers(10, 41, n))
    at_s = comes_s[guesses] + stays_s * rng.random(len(guesses))
    stage = np.minimum(_STAGES - 1, (at_s / (0.9 * lasts_s) * _STAGES).astype(np.int64))
    pairs = rng.integers(0, len(_WORDS), (len(guesses), 2)).tolist()
    words = [f"/hunt/{one + 1}/{_WORDS[a]}-{_WORDS[b]}" for one, (a, b) in zip(stage.tolist(), pairs, strict=True)]
    made = [scene.requests(begin_s + at_s, "missing", path=words, status=404, ip=ip[guesses], ua=ua[guesses])]
    for number in range(_STAGES):
        solved_s = (number + 1) * 0.9 * lasts_s / _STAGES
        here = np.flatnonzero((comes_s < solved_s) & (comes_s + stays_s > solved_s) & (rng.random(n) < 0.9))
        opened_s = begin_s + solved_s + rng.gamma(1.5, 110, len(here))
        path = f"/hunt/{number + 1}/the-{_WORDS[number]}-of-the-{_WORDS[-1 - number]}"
        made.append(scene.requests(opened_s, "missing", path=path, ip=ip[here], ua=ua[here]))
        script = scene.world.statics[:1].repeat(len(here))
        made.append(scene.requests(opened_s + 0.4, "static", path=script, ip=ip[here], ua=ua[here]))
    return together(*made)


@case()
def switch_control(scene: Scene) -> Rows:
    """In a house for people who cannot use their hands twelve of them shop with a switch: a letter takes six seconds.

    One address, an account each, an afternoon of some hours. Thirty-odd letters of what they want, each a question to
    the search box; the search, four items, the reviews, half a minute or more apart. Again and again the session has
    lapsed meanwhile (401, three to five times each): they sign in anew, a third mistype, and the
    form of the checkout has lapsed as well (422), twice, before one in two pays at last.
    """
    rng, people = scene.rng, 12
    ip = int(scene.addresses(1, "office")[0])
    user, ua = scene.accounts(people, distinct=True), scene.world.browsers[rng.integers(0, 16, people)]
    begin_s, scale = scene.moment(0.15, 0.3), min(1.0, scene.span_s * 0.6 / 9000)
    letters = scene.world.paths.all(
        [f"/api/v1/suggest?q={_PHRASE[: one + 1].replace(' ', '+')}" for one in range(len(_PHRASE))]
    )
    parts = []
    for person in range(people):
        at_s, who = (
            begin_s + float(rng.uniform(0, 1800)) * scale,
            {"ip": ip, "user": int(user[person]), "ua": int(ua[person])},
        )
        typed_s = at_s + np.cumsum(rng.gamma(6, scale, len(letters)))
        parts.append(scene.requests(typed_s, "suggest", path=letters, **{**who, "user": ABSENT}))
        at_s = float(typed_s[-1])
        for round_ in range(int(rng.integers(3, 6))):
            items = scene.world.items[rng.integers(0, ITEMS, 4)]
            steps = [("search", 15, 200), *[("item", 40, 200)] * 4, ("reviews", 60, 200)]
            seen = scripted(
                scene, np.array([at_s]), [(one, wait * scale, status) for one, wait, status in steps], **who
            )
            seen["path"][1:5] = items
            seen["path"][0] = scene.world.searches[person * 7 % 900]
            seen["path"][5] = scene.world.reviews[int(rng.integers(ITEMS))]
            lapsed_s = float(seen["ts_ms"].max()) / 1000 + _LAPSES_S * scale * 0.5
            tries = [("account", 0, 401), *[("login", 25, 401)] * int(rng.random() < 1 / 3), ("login", 40, 200)]
            tries += [("account", 8, 200), ("checkout", 90, 422 if round_ < 2 else 200)]
            parts += [seen, scripted(scene, np.array([lapsed_s]), [(one, w * scale, s) for one, w, s in tries], **who)]
            at_s = float(parts[-1]["ts_ms"].max()) / 1000 + 60 * scale
        if person % 2:
            parts.append(
                scripted(
                    scene,
                    np.array([at_s]),
                    [("cart", 0, 200), ("checkout", 60 * scale, 200), ("pay", 90 * scale, 200)],
                    **who,
                )
            )
    return together(*parts)


@case()
def midnight_greetings(scene: Scene) -> Rows:
    """The year begins, and everybody sends everybody the same words within twenty minutes.

    As many members as the site has requests in a minute (300 at 5 a second), a half behind carriers' addresses, two in
    three within the first five minutes. Each opens the feed and sends five to sixty messages, one every two to five
    seconds; in the first two minutes one in six is not taken (503), and sent again at once. Then the feed again, once
    to six times.
    """
    rng = scene.rng
    midnight_s, n = scene.moment(0.3, 0.8), max(30, round(scene.requests_per_s * 60))
    shared = scene.addresses(max(4, n // 15), "cgnat")
    ip = np.where(rng.random(n) < 0.5, shared[rng.integers(0, len(shared), n)], scene.addresses(n, "home"))
    user, ua = scene.accounts(n, distinct=True), scene.tool("ShopApp/6.0 (Android 15)")
    begins_s = midnight_s + np.where(rng.random(n) < 2 / 3, rng.uniform(-20, 280, n), rng.uniform(280, 1200, n))
    opened = scene.requests(begins_s, "app_feed", ip=ip, user=user, ua=ua)
    who = np.repeat(np.arange(n), np.minimum(5 + rng.geometric(1 / 14, n), 60))
    waits = np.cumsum(rng.uniform(2, 5, len(who)))
    sent_s = begins_s[who] + 4 + waits - waits[np.searchsorted(who, who)]
    crowded = (sent_s > midnight_s) & (sent_s < midnight_s + 120) & (rng.random(len(who)) < 1 / 6)
    sent = scene.requests(sent_s, "graphql", path=_GREETING, ip=ip[who], user=user[who], ua=ua)
    again = sent[crowded].copy()
    again["ts_ms"] += rng.integers(300, 1500, len(again))
    sent["status"][crowded] = 503
    looks = np.repeat(np.arange(n), rng.integers(1, 7, n))
    looked_s = begins_s[looks] + rng.uniform(60, 1500, len(looks))
    return together(opened, sent, again, scene.requests(looked_s, "app_feed", ip=ip[looks], user=user[looks], ua=ua))


def _of(who: dict[str, Ints], which: Ints) -> dict[str, Ints]:
    """The columns of some."""
    return {name: codes[which] for name, codes in who.items()}
