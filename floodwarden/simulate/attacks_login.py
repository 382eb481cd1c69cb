"""Attacks on accounts: guessing, stuffing, spraying, and what comes after a password fitted."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together


@family(oat="OAT-007", weak=Strength(1, 6, 1800), medium=Strength(1, 60, 600), strong=Strength(1, 600, 240))
def brute_force(scene: Scene, how: Strength) -> Rows:
    """One address, a handful of accounts, one password after the other."""
    at_s = scene.steady(how.per_s, how.lasts_s)
    targets = np.concatenate([scene.accounts(3), scene.world.users.all(["admin", "root"])])
    return scene.requests(
        at_s,
        "login",
        ip=int(scene.addresses(1)[0]),
        user=targets[np.arange(len(at_s)) // 25 % len(targets)],
        status=401,
        ua=scene.tool("python-requests/2.31.0"),
    )


@family(oat="OAT-008", weak=Strength(120, 0.2, 1800), medium=Strength(300, 0.5, 1200), strong=Strength(500, 1.0, 900))
def stuffing(scene: Scene, how: Strength) -> Rows:
    """A leaked list tried from hundreds of addresses, a few attempts each; one pair in eighty fits."""
    n = max(how.sources, int(how.sources * how.per_s * how.lasts_s))
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), n)
    return leaked(scene, scene.scattered(n, how.lasts_s), ip, scene.browser(ip))


@family(oat="OAT-008", weak=Strength(1, 5, 1800), medium=Strength(1, 40, 600), strong=Strength(1, 400, 240))
def stuffing_single(scene: Scene, how: Strength) -> Rows:
    """One address with a leaked list: another account at every attempt, never the same twice."""
    at_s = scene.steady(how.per_s, how.lasts_s)
    ip = np.full(len(at_s), scene.addresses(1, "hosting")[0])
    return leaked(scene, at_s, ip, np.full(len(at_s), scene.tool("Java/17.0.2")))


@family(oat="OAT-008", weak=Strength(1, 5, 1800), medium=Strength(6, 20, 900), strong=Strength(60, 20, 600))
def app_stuffing(scene: Scene, how: Strength) -> Rows:
    """A leaked list tried as the shop's app does it, with the app's own key, which everybody can read out of it.

    Two accounts of his own sign in at each address, again every five minutes, so that not everything fails there.
    """
    n = max(3, int(how.sources * how.per_s * how.lasts_s))
    addresses, app = scene.addresses(how.sources, "hosting"), scene.tool("ShopApp/7.2 (Android 14) okhttp/4.12.0")
    ip = scene.by_turns(addresses, n)
    key = scene.key("key-app-07")
    tried = leaked(scene, scene.scattered(n, how.lasts_s), ip, np.full(n, app), "token")
    tried["key"] = key
    own, times = scene.strangers(2 * how.sources, "helper"), max(1, int(how.lasts_s // 300))
    at_s = np.repeat(300.0 * np.arange(times), len(own)) + np.tile(scene.scattered(len(own), 60), times)
    own, of = np.tile(own, times), np.tile(np.repeat(addresses, 2), times)
    return together(tried, scene.requests(at_s, "token", ip=of, user=own, key=key, ua=app))


@family(
    oat="OAT-008", weak=Strength(2000, 0.01, 3600), medium=Strength(3000, 0.02, 2700), strong=Strength(4000, 0.04, 1800)
)
def slow(scene: Scene, how: Strength) -> Rows:
    """Thousands of addresses, each with one or two attempts an hour: no address ever stands out."""
    n = max(10, int(how.sources * how.per_s * how.lasts_s))
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), n)
    return leaked(scene, scene.scattered(n, how.lasts_s), ip, scene.browser(ip))


@family(oat="OAT-007", weak=Strength(20, 1, 2400), medium=Strength(40, 3, 1200), strong=Strength(40, 12, 600))
def spraying(scene: Scene, how: Strength) -> Rows:
    """Common passwords over all the site's accounts, each account once, from some dozens of addresses."""
    n = max(how.sources, int(how.sources * how.per_s * how.lasts_s))
    at_s = scene.scattered(n, how.lasts_s)
    ip = scene.by_turns(scene.addresses(how.sources, "hosting"), n)
    user = np.sort(scene.accounts(n, distinct=True))  # down the list, as it was bought
    status = scene.mostly(n, 401, 200, 0.004)
    return scene.requests(at_s, "login", ip=ip, user=user, status=status, ua=scene.browser(ip))


@family(oat="OAT-008", weak=Strength(1, 1.5, 2400), medium=Strength(1, 8, 900), strong=Strength(2, 20, 600))
def takeover(scene: Scene, how: Strength) -> Rows:
    """Pairs known to fit are used: one address logs in to account after account, changes the address, orders."""
    begins_s = scene.steady(how.sources * how.per_s, how.lasts_s)
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), len(begins_s))
    user = scene.accounts(len(begins_s), distinct=True)
    steps = [("login", 0, 200), ("account", 2, 200), ("orders", 2, 200), ("profile", 4, 200), ("pay", 8, 200)]
    made = scripted(scene, begins_s, steps, ip=ip, user=user, ua=scene.browser(ip))
    stale = np.isin(made["user"], user[scene.rng.random(len(user)) < 0.1])
    made["status"][stale] = 401  # changed since it was sold: the login fails, and nothing comes after
    login = made["endpoint"] == made["endpoint"][0]
    return np.asarray(made[login | ~stale])


def leaked(scene: Scene, at_s: np.ndarray, ip: np.ndarray, ua: np.ndarray, at: str = "login") -> Rows:
    """Attempts with a leaked list: most accounts are not even ours, one in eighty fits."""
    n = len(at_s)
    hit = scene.rng.random(n) < 0.0125
    user = np.where(hit, scene.accounts(n), scene.strangers(n, "leaked"))
    return scene.requests(at_s, at, ip=ip, user=user, status=np.where(hit, 200, 401), ua=ua)
