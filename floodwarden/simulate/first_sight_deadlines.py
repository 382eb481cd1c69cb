"""First sight: hard good cases of people on one day: clocks set by hand, the last day for taxes, free tests, banks."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.people import at_home, typos
from floodwarden.simulate.scene import Rows, Scene, Seconds, again, those, together
from floodwarden.simulate.world import ABSENT, Ints

_SEND: Final = "/api/graphql?op=sendCode"
_FILE: Final = "/api/graphql?op=fileReturn"
_HELP: Final = "/api/graphql?op=addressHelp"
_TO_PAY: Final = (("cart", 0.0), ("checkout", 20.0))
_FLATS: Final = 2  # of five who order live in a house with many flats


def behind(scene: Scene, n: int, share: float, to_one: int) -> dict[str, Ints]:
    """Members, of whom a share comes by a carrier's address for each so many of them."""
    by, many = at_home(scene, n, 0.0), round(n * share)
    carriers = scene.addresses(max(2, many // to_one), "cgnat")
    by["ip"][:many] = carriers[np.arange(many) % len(carriers)]
    return by


@case()
def two_clocks(scene: Scene) -> Rows:
    """A country puts its summer time off by decree, half of it does not, and clocks are set by hand: codes are wrong.

    As many as the site has requests in sixty seconds (300 at 5 a second), three in five behind a carrier's address for
    each thirty, over six tenths of the run. The password fits (200; now and then mistyped, 401); the code that the
    telephone reckons from its clock is an hour off: three to eight of them, each when the last is over, half a minute
    or so apart, all 401. One in three signs in anew in between. Two in five find out about the clock and are in (200),
    one in five has a code sent (202, 200). The others give up, and two in three of them try again an hour or two later,
    two to four codes, in vain.

    Source: Lebanon, 2023-03-23 to 27 (the government put summer time off two days before, churches, schools and the
    press did not, and telephones were set by hand; Reuters and the list of IANA's time zone database, 2023-03-26).
    """
    rng = scene.rng
    n, lasts_s = max(40, round(scene.requests_per_s * 60)), min(21_600.0, 0.6 * scene.span_s)
    pace, by = min(1.0, lasts_s / 7200), behind(scene, n, 0.6, 30)
    begins_s = scene.moment(0.05, 0.25) + 0.6 * lasts_s * rng.beta(1.2, 1.8, n)
    wrong, nth = again(typos(scene, n))
    parts = [scene.requests(begins_s[wrong] - (nth + 1) * 12 * pace, "login", status=401, **those(by, wrong))]
    parts += [scene.requests(begins_s - 60 * pace, "home", **by), scene.requests(begins_s, "login", **by)]
    codes = rng.integers(3, 9, n)
    tried, nth = again(codes)
    tried_s = begins_s[tried] + (14 + nth * 33 + rng.uniform(0, 12, len(tried))) * pace
    parts.append(scene.requests(tried_s, "verify", status=401, **those(by, tried)))
    anew = rng.permutation(n) % 3 == 0
    parts.append(scene.requests(begins_s[anew] + 75 * pace, "login", **those(by, anew)))
    over_s, kind = begins_s + (20 + codes * 33) * pace, rng.permutation(n) % 5
    clock, sent, lost = kind < 2, kind == 2, kind > 2
    right_s = over_s[clock] + rng.uniform(90, 700, int(clock.sum())) * pace
    asked_s = over_s[sent] + 25 * pace
    parts += [
        scene.requests(right_s, "verify", **those(by, clock)),
        scene.requests(right_s + 9 * pace, "account", **those(by, clock)),
        scene.requests(asked_s, "graphql", path=_SEND, status=202, **those(by, sent)),
        scene.requests(asked_s + rng.uniform(20, 60, len(asked_s)) * pace, "verify", **those(by, sent)),
    ]
    later, nth = again((lost & (rng.permutation(n) % 3 > 0)) * rng.integers(2, 5, n))
    back_s = over_s[later] + (0.18 + 0.15 * (later % 2)) * lasts_s + (15 + nth * 35) * pace
    parts.append(scene.requests(back_s[nth == 0] - 15 * pace, "login", **those(by, later[nth == 0])))
    return together(*parts, scene.requests(back_s, "verify", status=401, **those(by, later)))


@case()
def last_day_returns(scene: Scene) -> Rows:
    """It is the last evening for tax returns, and at accountants' two people hand in customer after customer's.

    An office for each 120 accounts, two people behind one address with 20 to 40 customers between them, five minutes
    or so for each, for five hours from one moment on. They sign in as the customer, by a list: one password in four has
    been changed (401, once or twice) and is set anew (202), with a code that the customer reads out by telephone, one
    in three of which has lapsed (401). Account, form; then the return is sent, which in every second case finds nobody
    (503, 504), one to four times, half a minute apart. Another code by telephone, one in four wrong; the receipt; out.
    One session in five has ended meanwhile (401). One customer in ten is put off, and done at the end of the evening.

    Source: Ministry of Finance of India (58.9 million returns, 4.6 million of them on the last day), 2022-01-01; and on
    the portal that did not work two and a half months after its start, 2021-08-22.
    """
    rng, offices = scene.rng, max(3, scene.clients // 120)
    lasts_s, begin_s = min(18_000.0, 0.5 * scene.span_s), scene.moment(0.15, 0.4)
    ip, parts = scene.addresses(offices, "office"), []
    many = rng.integers(20, 41, offices)
    everybody = scene.accounts(int(many.sum()), distinct=True)
    for office, (n, address) in enumerate(zip(many.tolist(), ip.tolist(), strict=True)):
        first = int(many[:office].sum())
        turn = np.arange(n) // 2
        own = scene.browser(np.array([office * 3, office * 3 + 5]))[np.arange(n) % 2]
        by = {"ip": np.full(n, address), "user": everybody[first : first + n], "ua": own}
        each_s = 0.8 * lasts_s / (turn[-1] + 1)
        starts_s = begin_s + turn * each_s + rng.uniform(0, 0.4, n) * each_s
        put_off = rng.permutation(n) % 10 == 0
        starts_s[put_off] = begin_s + (0.86 + 0.1 * rng.random(int(put_off.sum()))) * lasts_s
        parts.append(_handed_in(scene, starts_s, by, min(1.0, each_s / 420)))
    return together(*parts)


def _handed_in(scene: Scene, starts_s: Seconds, by: dict[str, Ints], pace: float) -> Rows:
    """Customers' returns, each from its sign-in to its receipt."""
    rng, n = scene.rng, len(starts_s)
    changed = rng.permutation(n) % 4 == 0
    wrong, nth = again(changed * rng.integers(1, 3, n))
    parts = [scene.requests(starts_s[wrong] + nth * 9 * pace, "login", status=401, **those(by, wrong))]
    parts.append(scene.requests(starts_s[changed] + 25 * pace, "reset", status=202, **those(by, changed)))
    lapsed = changed & (rng.permutation(n) % 3 == 0)
    parts.append(scene.requests(starts_s[lapsed] + 70 * pace, "verify", status=401, **those(by, lapsed)))
    parts.append(scene.requests(starts_s[changed] + 100 * pace, "verify", **those(by, changed)))
    in_s = starts_s + np.where(changed, 125.0, 2.0) * pace
    ended = rng.permutation(n) % 5 == 0
    vain, nth = again((rng.permutation(n) % 2 == 0) * rng.integers(1, 5, n))
    sent_s = in_s + rng.uniform(60, 110, n) * pace
    at_s = sent_s[vain] + nth * 30 * pace
    status = np.where(rng.random(len(vain)) < 0.6, 503, 504)
    parts.append(scene.requests(at_s, "graphql", path=_FILE, status=status, **those(by, vain)))
    done_s = sent_s + np.bincount(vain, minlength=n) * 30 * pace
    misread = rng.permutation(n) % 4 == 0
    parts += [
        scene.requests(in_s, "login", **by),
        scene.requests(in_s + 6 * pace, "account", **by),
        scene.requests(in_s + 45 * pace, "profile", **by),
        scene.requests(in_s[ended] + 50 * pace, "account", status=401, **those(by, ended)),
        scene.requests(in_s[ended] + 56 * pace, "login", **those(by, ended)),
        scene.requests(done_s, "graphql", path=_FILE, **by),
        scene.requests(done_s[misread] + 40 * pace, "verify", status=401, **those(by, misread)),
        scene.requests(done_s + 70 * pace, "verify", **by),
        scene.requests(done_s + 80 * pace, "invoice", path="/account/orders/2022/invoice", **by),
        scene.requests(done_s + 95 * pace, "logout", **by),
    ]
    return together(*parts)


@case()
def free_tests(scene: Scene) -> Rows:
    """Every household may order four tests for nothing, once, and in a house with many flats only the first one may.

    As many as the site has requests in ninety seconds (450 at 5 a second), most within an hour of the news, of four
    hours. No account, no payment: the page, its scripts, the form. Two in five live in houses with many flats and one
    line for all (a house for each 250 accounts): of these but for the first in each house two in three are told that it
    has ordered already (409), and write the flat in another way, two to six times, some twenty to fifty seconds apart;
    a quarter gets through in the end, the others ask for help (202), and half come again an hour later, twice more. One
    in nine of all lives where the list knows no house (422), and tries once or twice more.

    Source: COVIDtests.gov, opened 2022-01-18; people in flats were told that theirs had been ordered already, by the
    press and the Postal Service, 2022-01-18 and 19.
    """
    rng = scene.rng
    n, houses = max(50, round(scene.requests_per_s * 90)), max(3, scene.clients // 250)
    lasts_s = min(14_400.0, 0.5 * scene.span_s)
    pace, comes_s = min(1.0, lasts_s / 7200), scene.moment(0.1, 0.4) + 0.6 * lasts_s * rng.beta(1.1, 3, n)
    flats = n * _FLATS // 5
    own = np.where(rng.random(n - flats) < 0.4, scene.addresses(n - flats, "home6"), scene.addresses(n - flats, "home"))
    house = np.arange(flats) % houses
    by = {"ip": np.concatenate((scene.addresses(houses, "home")[house], own)), "user": np.full(n, ABSENT)}
    by["ua"] = scene.world.browsers[rng.integers(0, 16, n)]
    page = scene.requests(comes_s, "article", path="/blog/free-tests", **by)
    scripts, nth = again(np.full(n, 2))
    parts = [page, scene.requests(comes_s[scripts] + 0.3 + nth * 0.1, "static", **those(by, scripts))]
    parts[-1]["path"] = scene.world.statics[nth]
    first = np.zeros(n, bool)
    first[[int(np.flatnonzero(house == one)[comes_s[:flats][house == one].argmin()]) for one in range(houses)]] = True
    told = (np.arange(n) < flats) & ~first & (rng.permutation(n) % 3 > 0)
    unknown = rng.permutation(n) % 9 == 0
    form_s = comes_s + rng.uniform(40, 90, n) * pace
    wrong, nth = again(unknown * rng.integers(1, 3, n))
    parts.append(scene.requests(form_s[wrong] - (nth + 1) * 16 * pace, "checkout", status=422, **those(by, wrong)))
    spelled, nth = again(told * rng.integers(2, 7, n))
    spelled_s = form_s[spelled] + (nth * 35 + rng.uniform(0, 15, len(spelled))) * pace
    parts.append(scene.requests(spelled_s, "checkout", status=409, **those(by, spelled)))
    through = told & (rng.permutation(n) % 4 == 0)
    done_s = form_s + np.bincount(spelled, minlength=n) * 35 * pace
    parts.append(scene.requests(done_s[~told | through], "checkout", **those(by, ~told | through)))
    out = told & ~through
    parts.append(scene.requests(done_s[out] + 60 * pace, "graphql", path=_HELP, status=202, **those(by, out)))
    later, nth = again((out & (rng.permutation(n) % 2 == 0)) * 2)
    later_s = done_s[later] + 0.25 * lasts_s + nth * 45 * pace
    return together(*parts, scene.requests(later_s, "checkout", status=409, **those(by, later)))


@case()
def soft_declines(scene: Scene) -> Rows:
    """From today on banks decline whatever was not confirmed by a second factor, and shoppers learn it at the till.

    As many as the site has requests in seventy seconds (350 at 5 a second), over half of the run, one in four at work
    (an office for each 250 accounts), about noon. Cart, checkout, payment: declined (402), and the page asks for the
    bank's confirmation. Three in five press it on their telephone (200); a quarter types a code that has lapsed or is
    not the one (401), once or twice, before; then it is paid (200). The others never told the bank their number: the
    same card again, another one, a third (402), and half of them give up, half pay in another way. One confirmation in
    ten takes too long (504) and is asked for anew.

    Source: UK Financial Conduct Authority, strong customer authentication for payments on the internet, in full
    from 2022-03-14 on; European Banking Authority, the same in the EU, until 2020-12-31 at the latest, 2019-10-16.
    """
    rng = scene.rng
    n, lasts_s = max(40, round(scene.requests_per_s * 70)), 0.5 * scene.span_s
    pace, by = min(1.0, lasts_s / 7200), at_home(scene, n, 0.25)
    work = rng.permutation(n) % 4 == 0
    offices = scene.addresses(max(2, scene.clients // 250), "office")
    by["ip"] = np.where(work, offices[np.arange(n) % len(offices)], by["ip"])
    noon_s = 0.35 * lasts_s + 0.2 * lasts_s * rng.beta(2, 2, n)
    comes_s = scene.moment(0.1, 0.35) + np.where(work, noon_s, 0.9 * lasts_s * rng.random(n))
    parts = [scene.requests(comes_s + wait_s * pace, step, **by) for step, wait_s in _TO_PAY]
    paid_s = comes_s + rng.uniform(50, 80, n) * pace
    parts.append(scene.requests(paid_s, "pay", status=402, **by))
    kind = rng.permutation(n) % 20
    knows, mistypes = kind < 17, (kind >= 12) & (kind < 17)
    wrong, nth = again(mistypes * rng.integers(1, 3, n))
    parts.append(scene.requests(paid_s[wrong] + (35 + nth * 30) * pace, "verify", status=401, **those(by, wrong)))
    good_s = paid_s + (rng.uniform(15, 32, n) + np.bincount(wrong, minlength=n) * 35) * pace
    slow = knows & (rng.permutation(n) % 10 == 0)
    parts.append(scene.requests(good_s[slow], "verify", status=504, **those(by, slow)))
    good_s[slow] += 45 * pace
    parts.append(scene.requests(good_s[knows], "verify", **those(by, knows)))
    parts.append(scene.requests(good_s[knows] + 3 * pace, "pay", **those(by, knows)))
    cards, nth = again(~knows * rng.integers(2, 6, n))
    again_s = paid_s[cards] + (30 + nth * 40 + rng.uniform(0, 20, len(cards))) * pace
    parts.append(scene.requests(again_s, "pay", status=402, **those(by, cards)))
    other = ~knows & (rng.permutation(n) % 2 == 0)
    other_s = paid_s[other] + 320 * pace
    return together(*parts, scene.requests(other_s, "pay", **those(by, other)))
