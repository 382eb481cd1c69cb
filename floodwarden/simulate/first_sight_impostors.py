"""First sight: attacks by who says he is somebody else: quizzes, lapsed domains, planted devices, data requests."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.services import invoice_paths, orders_of
from floodwarden.simulate.world import Ints

_QUESTIONS: Final = 4
_INVOICES: Final = 3
_MAILBOXES: Final = (
    "accounts", "admin", "anna", "billing", "hello", "info", "office", "tom",
)  # fmt: skip
_GUESSES: Final = 6  # at a dormant account, then it is left
_PLANTED: Final = "ShopApp/6.0 (Pixel 4a; Android 13)"


@family(weak=Strength(2, 1, 3000), medium=Strength(10, 6, 1200), strong=Strength(30, 30, 600))
def answered_questions(scene: Scene, how: Strength) -> Rows:
    """Who forgot his password answers four questions about himself, and strangers answer them out of bought files.

    A reset, then answer upon answer to it; at half of the accounts one of them is wrong (401), mostly the third or the
    fourth, and it is left. Who passes all four opens the account, its orders, and the invoices of three years. Each
    account once.

    Source: US Internal Revenue Service on its "Get Transcript" service, 2015-05-26 (200,000 attempts, half of which
    passed the questions), and 2016-02-26 (724,000 people).
    """
    rng, m = scene.rng, how.sources
    n = max(m, round(m * how.per_s * how.lasts_s / 7.3))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 80))
    ip, user = scene.by_turns(scene.addresses(m, "bot"), n), scene.accounts(n, distinct=True)
    steps = [("reset", 0.0, 200), *[("verify", 11.0, 200)] * _QUESTIONS, ("account", 4.0, 200), ("orders", 3.0, 200)]
    made = scripted(scene, begins_s, [*steps, *[("invoice", 4.0, 200)] * _INVOICES], ip=ip, user=user)
    made["ua"] = np.tile(scene.browser(ip), len(steps) + _INVOICES)
    for year in range(_INVOICES):
        part = slice((len(steps) + year) * n, (len(steps) + year + 1) * n)
        made["path"][part] = invoice_paths(scene, orders_of(scene, user, year))
    passes = rng.permutation(n) % 2 == 0
    wrong = np.where(passes, len(steps) + _INVOICES, rng.choice([1, 2, 3, 4], n, p=[0.1, 0.2, 0.35, 0.35]))
    step, last = np.repeat(np.arange(len(steps) + _INVOICES), n), np.tile(wrong, len(steps) + _INVOICES)
    made["status"][step == last] = 401
    return np.asarray(made[step <= last])


@family(weak=Strength(1, 2, 3000), medium=Strength(2, 24, 1200), strong=Strength(6, 100, 480))
def lapsed_domains(scene: Scene, how: Strength) -> Rows:
    """Firms that are no more let their mail domains lapse; who buys them is sent the resets of their old accounts.

    Domain after domain, eight usual mailboxes of each in the order of the alphabet, a second and a half apart: a reset
    (202), or there is no such account (404), which is so for a half. Seconds later those there are, one by one: the
    mail's code, in, account, orders, the last invoice, at the first try.

    Source: Truffle Security (D. Ayrey), "Millions of accounts vulnerable due to Google's OAuth flaw" (mail domains of
    failed startups, bought anew), 2025-01-13; G. Szathmari, "Hacking law firms with abandoned domain names", 2018.
    """
    rng, m, boxes = scene.rng, how.sources, len(_MAILBOXES)
    n = max(m, round(m * how.per_s * how.lasts_s / (boxes + 5 * boxes / 2)))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 90))
    ip = np.repeat(scene.by_turns(scene.addresses(m, "hosting"), n), boxes)
    ua = scene.browser(ip)
    firms = [f"{rng.integers(1 << 24):06x}-labs.example" for _ in range(n)]
    user = scene.world.users.all([f"{box}@{firm}" for firm in firms for box in _MAILBOXES])
    asked_s = np.repeat(begins_s, boxes) + np.tile(np.arange(boxes) * 1.5, n) + rng.uniform(0, 0.3, n * boxes)
    there = rng.random((n, boxes)).argsort(axis=1).ravel() < boxes // 2
    asked = scene.requests(asked_s, "reset", ip=ip, user=user, ua=ua, status=np.where(there, 202, 404))
    turn = (np.cumsum(there) - 1) % (boxes // 2)
    steps = [("verify", 0.0, 200), ("login", 1.5, 200), ("account", 1.5, 200), ("orders", 1.0, 200)]
    opens_s = np.repeat(begins_s, boxes)[there] + 20 + turn[there] * 9.0
    who = {"ip": ip[there], "user": user[there], "ua": ua[there]}
    opened = scripted(scene, opens_s, [*steps, ("invoice", 1.5, 200)], **who)
    opened["path"][len(steps) * len(opens_s) :] = invoice_paths(scene, orders_of(scene, who["user"], 0))
    return together(asked, opened)


@family(oat="OAT-007", weak=Strength(3, 0.7, 3000), medium=Strength(12, 5, 1200), strong=Strength(40, 20, 600))
def planted_devices(scene: Scene, how: Strength) -> Rows:
    """Accounts of people who left have no second factor yet: their passwords are guessed and a telephone is added.

    At most six guesses an account; at one in three one fits, and at once a device is registered (201), always of the
    same make, its code confirmed, the profile looked at, out. Nothing more is done with it for a long time; then, all
    within the last tenth, each of these devices has itself given a token and reads orders.

    Source: US CISA and FBI, AA22-074A, 2022-03-15 (a guessed password of an account that lay idle, to which a device of
    one's own could be added, for its confirmations had lapsed); Microsoft on registered devices, 2022-01-26.
    """
    rng, m = scene.rng, how.sources
    n = max(m, round(m * how.per_s * how.lasts_s / 7.8))
    begins_s = scene.scattered(n, max(1.0, 0.85 * how.lasts_s - 60))
    ip, user = scene.by_turns(scene.addresses(m, "bot"), n), scene.strangers(n, "former")
    ua = scene.browser(ip)
    fits = rng.permutation(n) % 3 == 0
    tries = np.where(fits, rng.integers(1, _GUESSES + 1, n), _GUESSES)
    nth = np.repeat(np.arange(n), tries)
    at = np.arange(len(nth)) - np.searchsorted(nth, nth)
    last = fits[nth] & (at == tries[nth] - 1)
    tried_s = begins_s[nth] + at * 5.0 + rng.uniform(0, 2, len(nth))
    tried = scene.requests(tried_s, "login", ip=ip[nth], user=user[nth], ua=ua[nth], status=np.where(last, 200, 401))
    won_s = tried_s[last]
    who = {"ip": ip[fits], "user": user[fits], "ua": scene.tool(_PLANTED)}
    steps = [("device", 4.0, 201), ("verify", 6.0, 200), ("account", 2.0, 200), ("logout", 2.0, 200)]
    planted = scripted(scene, won_s, steps, **who)
    again_s = how.lasts_s * rng.uniform(0.9, 0.99, len(won_s))
    used = scripted(scene, again_s, [("token", 0.0, 200), ("api_orders", 2.0, 200), ("orders", 2.0, 200)], **who)
    return together(tried, planted, used)


@family(oat="OAT-018", weak=Strength(1, 1.5, 3600), medium=Strength(2, 15, 1200), strong=Strength(6, 60, 600))
def subject_requests(scene: Scene, how: Strength) -> Rows:
    """Whoever asks as the law lets him is given what the shop knows of him, and somebody asks in others' names.

    The same letter for name after name, by nobody who is signed in: an export is ordered (202), then looked for three
    times, each time after longer. For one name in four it is given (200), for one in six papers are wanted (403) and
    the next look brings a forged one along; the others are never answered (404).

    Source: J. Pavur and C. Knerr, "GDPArrrrr: using privacy laws to steal identities", Black Hat USA, 2019-08-08: of
    150 companies asked in another's name a quarter gave everything, and a sixth asked for papers that can be forged.
    """
    rng, m = scene.rng, how.sources
    n = max(m, round(m * how.per_s * how.lasts_s / 4.2))
    begins_s = scene.scattered(n, max(1.0, 0.75 * how.lasts_s - 20))
    ip = scene.by_turns(scene.addresses(m, "neighbour"), n)
    ua, number = scene.browser(ip), rng.permutation(90_000)[:n] + 10_000
    names = scene.accounts(n, distinct=True)
    asked = scene.requests(begins_s, "export", path=_letters(scene, names), ip=ip, ua=ua, status=202)
    kind = rng.permutation(n) % 12  # 0, 1, 2: given; 3, 4: papers wanted
    waits_s = 0.25 * how.lasts_s * np.array([0.2, 0.5, 1.0]) * rng.uniform(0.7, 1.0, (n, 3))
    path = scene.world.paths.all([f"/api/v1/exports/{one}" for one in number.tolist()])
    parts = [asked]
    for look in range(3):
        status = np.where((kind < 3) & (look == 2), 200, np.where((kind < 5) & (kind > 2) & (look > 0), 403, 404))
        parts.append(scene.requests(begins_s + waits_s[:, look], "exported", path=path, ip=ip, ua=ua, status=status))
    papers = (kind > 2) & (kind < 5)
    forged_s = begins_s[papers] + waits_s[papers, 1] + rng.uniform(5, 15, int(papers.sum()))
    paper = scene.requests(forged_s, "export", path=_letters(scene, names[papers]), ip=ip[papers], ua=ua[papers])
    paper["status"] = scene.mostly(len(paper), 202, 422, 0.4)
    return together(*parts, paper)


def _letters(scene: Scene, names: Ints) -> Ints:
    """The path of a request for what the shop knows of each."""
    texts = scene.world.users.texts
    return scene.world.paths.all([f"/api/v1/exports?subject={texts[name]}" for name in names.tolist()])
