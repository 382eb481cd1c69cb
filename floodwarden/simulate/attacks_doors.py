"""Attacks on who somebody is: what sign-up gives away, people worn down or led astray, and insiders."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.services import invoice_paths, orders_of, staff_accounts

_RELAYED: Final = (
    ("home", 0.0, 200), ("static", 1.0, 200), ("login", 25.0, 200), ("verify", 20.0, 200), ("account", 2.0, 200),
    ("orders", 3.0, 200),
)  # fmt: skip
_COLLECTED: Final = (
    ("login", 0.0, 200), ("account", 1.5, 200), ("orders", 1.5, 200), ("invoice", 2.0, 200), ("logout", 2.0, 200),
)  # fmt: skip


@family(oat="OAT-018", weak=Strength(4, 1, 2400), medium=Strength(30, 3, 1200), strong=Strength(120, 10, 480))
def registration_oracle(scene: Scene, how: Strength) -> Rows:
    """Sign-up is asked which of a list's addresses have an account: a taken one is 409, any other a faulty form, 422.

    Nobody is ever registered. Four in ten of the list have an account; the page of the form is loaded once an address.
    One in fifty is taken for a machine (403).

    Source: Twitter, 5.4 million accounts by their address or number, 2022-08-05; Trello, 15 million profiles by their
    address, 2024-01; OWASP Web Security Testing Guide 4.2, "Testing for Account Enumeration", 2020-12-03.
    """
    n = max(how.sources, int(how.sources * how.per_s * how.lasts_s))
    pool = scene.addresses(how.sources, "bot" if how.sources > 10 else "hosting")
    at_s, ip = 5 + scene.scattered(n, max(1.0, how.lasts_s - 5)), scene.by_turns(pool, n)
    status = scene.rng.choice([409, 422, 403], n, p=[0.4, 0.58, 0.02])
    asked = scene.requests(at_s, "register", ip=ip, status=status, ua=scene.browser(ip))
    begun, first = np.unique(ip, return_index=True)
    form = scene.requests(at_s[first] - scene.rng.uniform(1, 4, len(begun)), "home", ip=begun, ua=scene.browser(begun))
    return together(form, asked)


@family(oat="OAT-017", weak=Strength(40, 0.1, 3000), medium=Strength(150, 0.4, 1200), strong=Strength(400, 1.5, 600))
def mail_bombing(scene: Scene, how: Strength) -> Rows:
    """A victim's mailbox is filled with our mail, so that one other mail is lost in it: reset after reset for him.

    One to five victims, each request from another home, all answered 202, none of the codes is ever used; one in
    twenty signs the victim up, who has an account (409).

    Source: Spamhaus, "Subscription bombing: COI, CAPTCHA, and the next generation of mail bombs", 2016-09-16; Rapid7,
    "Ongoing social engineering campaign linked to Black Basta ransomware operators", 2024-05-10.
    """
    n = max(how.sources, int(how.sources * how.per_s * how.lasts_s))
    at_s, ip = scene.scattered(n, how.lasts_s), scene.by_turns(scene.addresses(how.sources, "bot"), n)
    victims = scene.accounts(1 + how.sources // 100, distinct=True)
    ua = scene.browser(ip)
    sent = scene.requests(at_s, "reset", ip=ip, user=scene.by_turns(victims, n), status=202, ua=ua)
    signed_up = scene.rng.random(n) < 0.05
    sent[signed_up] = scene.requests(at_s, "register", ip=ip, status=409, ua=ua)[signed_up]
    return sent


@family(oat="OAT-008", weak=Strength(1, 1, 2400), medium=Strength(4, 6, 900), strong=Strength(12, 20, 480))
def push_fatigue(scene: Scene, how: Strength) -> Rows:
    """The password is known, and the owner's telephone asks him to confirm, again and again, until he gives in.

    A login that fits (200), its question refused or left (401), twenty times or so for each account; one question in
    forty is confirmed, and then account, profile and orders follow at once.

    Source: Uber, security update of 2022-09-19; Cisco Talos on its own incident, 2022-08-10; CISA, "Implementing number
    matching in MFA applications", 2022-10-31.
    """
    rng = scene.rng
    begins_s = scene.steady(how.sources * how.per_s / 2, how.lasts_s, shape=4.0)
    n = len(begins_s)
    turn = np.arange(n) * how.sources // n
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), how.sources)[turn]
    if how.sources > 1:
        order = rng.permutation(n)  # victims are worn down side by side
        begins_s = begins_s[np.argsort(order)]
    victims = scene.accounts(n // 20 + 1, distinct=True)
    user, ua = victims[np.arange(n) // 20], scene.browser(ip)
    made = scripted(scene, begins_s, [("login", 0.0, 200), ("verify", 18.0, 401)], ip=ip, user=user, ua=ua)
    gives_in = np.flatnonzero(rng.random(n) < 1 / 40)
    made["status"][n + gives_in] = 200
    steps = [("account", 1.5, 200), ("profile", 6.0, 200), ("orders", 4.0, 200)]
    then_s = made["ts_ms"][n + gives_in] / 1000
    inside = scripted(scene, then_s, steps, ip=ip[gives_in], user=user[gives_in], ua=ua[gives_in])
    return together(made, inside)


@family(oat="OAT-007", weak=Strength(1, 3, 2400), medium=Strength(2, 30, 900), strong=Strength(6, 90, 420))
def phishing_relay(scene: Scene, how: Strength) -> Rows:
    """People follow a mail to a copy of the shop that passes all they do on to the real one, and keeps their session.

    Real accounts, real passwords, real second factors, each with its owner's browser, and all from one to six rented
    machines: page, script, login, code, account, orders. One in eight mistypes first; one in six sees through it before
    the code.

    Source: Microsoft, "From cookie theft to BEC", 2022-07-12 (10,000 organisations since 2021-09); Group-IB, "Roasting
    0ktapus", 2022-08-25.
    """
    rng, steps = scene.rng, len(_RELAYED)
    n = max(2, int(how.sources * how.per_s * how.lasts_s / (steps - 0.4)))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 50))
    ip = scene.by_turns(scene.addresses(how.sources, "hosting"), n)
    user = scene.accounts(n, distinct=True)
    who = {"ip": ip, "ua": scene.world.browsers[rng.integers(0, len(scene.world.browsers), n)]}
    made = scripted(scene, begins_s, _RELAYED, user=user, **who)
    made["user"][: 2 * n] = -1
    step = np.repeat(np.arange(steps), n)
    made["path"][step == 1] = scene.world.statics[0]
    typo = np.flatnonzero(rng.random(n) < 1 / 8)
    wrong = made[2 * n + typo].copy()
    wrong["status"], wrong["ts_ms"] = 401, wrong["ts_ms"] - rng.integers(4000, 12_000, len(typo))
    leaves = np.tile(rng.random(n) < 1 / 6, steps)
    return together(made[~leaves | (step < 3)], wrong)


@family(oat="OAT-020", weak=Strength(2, 2, 3000), medium=Strength(6, 20, 1200), strong=Strength(14, 65, 480))
def aggregator(scene: Scene, how: Strength) -> Rows:
    """A service nobody here has agreed to holds its customers' passwords and collects what they ordered, twice over.

    Sign on, account, orders, the last invoice, out; the same accounts again in the second half. From two to fourteen
    rented machines, with a library's name. One password in twenty-five has been changed, and is tried all the same.

    Source: OWASP Automated Threat Handbook 1.2, OAT-020, 2018-02-15; US Consumer Financial Protection Bureau, rule on
    personal financial data rights (on credentials kept by third parties), 2024-10-22.
    """
    rng, steps = scene.rng, len(_COLLECTED)
    each = max(1, int(how.sources * how.per_s * how.lasts_s / steps / 2))
    accounts = scene.accounts(each, distinct=True)
    pool, ua = scene.addresses(how.sources, "hosting"), scene.tool("okhttp/4.12.0")
    begins_s = scene.scattered(each, max(1.0, how.lasts_s / 2 - 10))
    stale = np.tile(rng.random(each) < 0.04, steps)
    parts = []
    for round_s in (0.0, how.lasts_s / 2):
        ip = scene.by_turns(pool, each)
        made = scripted(scene, round_s + begins_s, _COLLECTED, ip=ip, user=accounts, ua=ua)
        made["path"][3 * each : 4 * each] = invoice_paths(scene, orders_of(scene, accounts, 0))
        made["status"][stale] = 401
        parts.append(made[~stale | (np.arange(len(made)) < each)])
    return together(*parts)


@family(weak=Strength(1, 3, 2400), medium=Strength(1, 12, 1200), strong=Strength(3, 40, 600))
def insider_lookup(scene: Scene, how: Strength) -> Rows:
    """One of the staff, paid for it, looks up customers' orders from home, many more than his work would need.

    He signs on as always; then order after order, in no sequence, each once, all of them answered. At work a colleague
    looks one up in three minutes.

    Source: Shopify, two of the support team, fewer than 200 merchants, 2020-09-22; Coinbase, Form 8-K of 2025-05-15
    (support agents bribed, 69,461 customers).
    """
    rng = scene.rng
    at_s = 15 + scene.steady(how.sources * how.per_s, how.lasts_s, shape=2.0)
    n = len(at_s)
    turn = rng.permutation(n) % how.sources
    ip = scene.addresses(how.sources, "neighbour")
    user = rng.permutation(staff_accounts(scene))[: how.sources]
    paths = [f"/backoffice/orders/{100_000 + number}" for number in rng.permutation(60_000)[:n].tolist()]
    looked = scene.requests(at_s, "backoffice", path=paths, ip=ip[turn], user=user[turn], ua=scene.browser(ip)[turn])
    signed_s = rng.uniform(0, 12, how.sources)
    return together(scene.requests(signed_s, "sso", ip=ip, user=user, ua=scene.browser(ip)), looked)
