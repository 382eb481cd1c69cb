"""Attacks on what says who somebody is: codes, sessions, devices, the staff's door, the lock itself."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.services import invoice_paths, orders_of, staff_accounts
from floodwarden.simulate.world import Ints

_CODES_A_SESSION: Final = 10
_UNTIL_LOCKED: Final = 5
_EMULATED: Final = (
    ("device", 0.0, 201), ("login", 2.0, 200), ("verify", 4.0, 200), ("account", 1.5, 200), ("orders", 2.0, 200),
    ("checkout", 3.0, 200), ("pay", 3.0, 200),
)  # fmt: skip
_MODELS: Final = tuple(
    f"ShopApp/5.9.{build} (Android {version}; {model})"
    for model in ("SM-G960F", "SM-A515F", "Redmi Note 8", "Pixel 3a", "moto g(7)", "ELE-L29")
    for version, build in ((9, 1), (10, 1), (10, 4), (11, 4))
)


@family(oat="OAT-007", weak=Strength(2, 2, 2400), medium=Strength(10, 12, 900), strong=Strength(60, 20, 300))
def otp_guessing(scene: Scene, how: Strength) -> Rows:
    """The password of one account is known; the six digits of its second factor are guessed, ten to a session.

    Every ten codes a new session begins with the right password (200), so nothing counts beyond ten. None fits.

    Source: Oasis Security (T. Hason, E. Luz), AuthQuake: Microsoft's second factor guessed in about an hour, reported
    2024-06, told 2024-12-11; L. Muthiyah, Instagram's reset codes tried from a thousand addresses, 2019-07.
    """
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s, shape=2.0)
    n = len(at_s)
    ip = scene.by_turns(scene.addresses(how.sources, "bot" if how.sources > 20 else "hosting"), n)
    user, ua = int(scene.accounts(1)[0]), scene.tool("python-httpx/0.27.0")
    made = scene.requests(at_s, "verify", ip=ip, user=user, status=401, ua=ua)
    anew = np.arange(n) % (_CODES_A_SESSION + 1) == 0
    made[anew] = scene.requests(at_s[anew], "login", ip=ip[anew], user=user, ua=ua)
    return made


@family(weak=Strength(8, 2, 2400), medium=Strength(20, 10, 900), strong=Strength(40, 25, 480))
def account_lockout(scene: Scene, how: Strength) -> Rows:
    """Wrong passwords until the account is locked, then the next one: nobody is to get in, the attacker neither.

    Five attempts within half a minute, four answered 401 and the fifth 423, each from another address, over people who
    do have accounts; when the list is through it begins again, and all is 423.

    Source: IBM X-Force, QakBot locks hundreds of thousands out of Active Directory, 2017-06; OWASP, "Blocking Brute
    Force Attacks", on lockout as denial of service; OWASP API Security Top 10, API2:2023.
    """
    n = max(_UNTIL_LOCKED, int(how.sources * how.per_s * how.lasts_s))
    victims = n // _UNTIL_LOCKED + 1
    attempt = np.arange(n) % _UNTIL_LOCKED
    begins_s = scene.scattered(victims, max(1.0, how.lasts_s - 30))
    at_s = begins_s[np.arange(n) // _UNTIL_LOCKED] + attempt * scene.rng.uniform(2, 7, n)
    names = scene.accounts(min(victims, scene.clients), distinct=True)
    user = np.resize(names, victims)[np.arange(n) // _UNTIL_LOCKED]
    again = np.arange(n) // _UNTIL_LOCKED >= len(names)
    status = np.where(again | (attempt == _UNTIL_LOCKED - 1), 423, 401)
    ip = scene.by_turns(scene.addresses(how.sources, "hosting"), n)
    return scene.requests(at_s, "login", ip=ip, user=user, status=status, ua=scene.browser(ip))


@family(weak=Strength(30, 0.3, 2400), medium=Strength(120, 1.5, 1200), strong=Strength(300, 5, 480))
def session_replay(scene: Scene, how: Strength) -> Rows:
    """Sessions taken from infected browsers are used by those who bought them, while their owners go on shopping.

    No login, no second factor, the victim's own user agent: account, orders, invoices, twelve requests each, through
    three proxies at once, for what is sold is sold again. One session in five has ended (401, and nothing follows); one
    in ten buys something with the stored card.

    Source: US Department of Justice and Europol, Genesis Market (cookies and fingerprints of 1.5 million machines)
    taken down, 2023-04-05; Okta, root cause of the support-system incident (session tokens replayed), 2023-11-03.
    """
    rng, each = scene.rng, 12
    sessions = max(2, int(how.sources * how.per_s * how.lasts_s / (each - 2.2)))
    begins_s = scene.scattered(sessions, max(1.0, how.lasts_s - 60))
    proxies = scene.addresses(how.sources, "bot")
    session = np.repeat(np.arange(sessions), each)
    at_s = begins_s[session] + np.tile(np.arange(each), sessions) * rng.uniform(2, 9, len(session))
    ip = proxies[(session * 7 + rng.integers(0, 3, len(session))) % how.sources]
    user = scene.accounts(sessions, distinct=True)[session]
    ua = scene.browser(user)
    made = scene.requests(at_s, "account", ip=ip, user=user, ua=ua)
    kind = np.tile(np.array([0, 1, 1, 2, 2, 1, 2, 2, 0, 2, 3, 4]), sessions)
    buys = (rng.random(sessions) < 0.1)[session]
    numbers = invoice_paths(scene, orders_of(scene, user, kind))
    for number, rows in (
        (1, scene.requests(at_s, "orders", ip=ip, user=user, ua=ua)),
        (2, scene.requests(at_s, "invoice", path=numbers, ip=ip, user=user, ua=ua)),
        (3, scene.requests(at_s, "cart_add", ip=ip, user=user, ua=ua)),
        (4, scene.requests(at_s, "pay", ip=ip, user=user, ua=ua)),
    ):
        made[kind == number] = rows[kind == number]
    ended = (rng.random(sessions) < 0.2)[session]
    first = np.tile(np.arange(each) == 0, sessions)
    made["status"][ended & first] = 401
    return np.asarray(made[(first | ~ended) & ((kind < 3) | buys)])


@family(oat="OAT-007", weak=Strength(40, 0.02, 3600), medium=Strength(60, 0.1, 3000), strong=Strength(40, 1, 1200))
def sso_spraying(scene: Scene, how: Strength) -> Rows:
    """One common password for every name of the staff, real or guessed, then for weeks nothing, then the next one.

    Two hundred names of which sixty exist, down the list, from homes that change; an attempt in 300 fits, and the
    second factor stops it. The weak one is one attempt in a minute and a half.

    Source: Microsoft Threat Intelligence, Midnight Blizzard (few attempts, through residential proxies), 2024-01-25;
    Peach Sandstorm's sprays, 2023-09-14.
    """
    n = max(how.sources, int(how.sources * how.per_s * how.lasts_s))
    names = np.concatenate([staff_accounts(scene), scene.strangers(140, "staff-")])
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), n)
    user = np.resize(names[scene.rng.permutation(len(names))], n)
    status = scene.mostly(n, 401, 200, 1 / 300)
    at_s = scene.scattered(n, how.lasts_s)
    return scene.requests(at_s, "sso", ip=ip, user=user, status=status, ua=scene.browser(ip))


@family(oat="OAT-012", weak=Strength(2, 3, 2400), medium=Strength(6, 20, 900), strong=Strength(20, 60, 420))
def emulator_farm(scene: Scene, how: Strength) -> Rows:
    """Emulated phones, each another model at each go: signed on as a customer whose codes are read, paid, gone.

    The app's own steps in the app's own order, all answered well but for one password in twenty that has been changed
    since; an address serves one account after the other.

    Source: IBM Security Trusteer (S. Gritzman, L. Kessem), "IBM Trusteer exposes massive fraud operation facilitated by
    evil mobile emulator farms": some twenty emulators, 16,000 phones, millions stolen within days, 2020-12-16.
    """
    rng, steps = scene.rng, len(_EMULATED)
    n = max(2, int(how.sources * how.per_s * how.lasts_s / (steps - 0.25)))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 20))
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), n)
    models: Ints = scene.world.agents.all(_MODELS)
    user = scene.accounts(n, distinct=True)
    made = scripted(scene, begins_s, _EMULATED, ip=ip, user=user, ua=models[rng.integers(0, len(models), n)])
    made["user"][:n] = -1  # a device is registered before anybody signs on
    stale = np.tile(rng.random(n) < 0.05, steps)
    step = np.repeat(np.arange(steps), n)
    made["status"][stale & (step == 1)] = 401
    return together(made[~stale | (step <= 1)])
