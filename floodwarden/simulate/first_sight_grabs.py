"""First sight: attacks by made-up notices, on names that fall free, with orders never meant, on free minutes."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, Seconds, again, those, together
from floodwarden.simulate.world import Ints

_NOTICES: Final = 40  # by one account
_RIVALS: Final = 4
_NOTICE: Final = "/api/graphql?op=copyrightNotice&item={}"
_STATE: Final = "/api/graphql?op=noticeState&item={}"
_FREE: Final = "/api/graphql?op=nameFree&name={}"
_CLAIM: Final = "/account/profile?name={}"
_LAYERS: Final = 5  # orders that are not meant
_MOVES: Final = 4  # of each, before it is taken back
_PROJECTS: Final = 4  # of an account
_RUN: Final = "/api/graphql?op={}&project={}-{}"


@family(weak=Strength(2, 0.8, 3600), medium=Strength(6, 8, 1800), strong=Strength(20, 24, 900))
def takedown_mill(scene: Scene, how: Strength) -> Rows:
    """Rivals' items are gone the hour somebody swears that they are copied, and he swears it of one after the other.

    An account at each home, another one after every forty notices: signed in once. The items of four rivals in their
    order, each opened, and some seconds later the notice (202; one in nine says too little, 422); for every fourth how
    its matter stands. Nothing else is opened, nothing bought, and no notice is ever about anybody but these four.

    Source: Google v. Nguyen Van Duc and Pham Van Thien, Northern District of California (notices against 117,000 of
    rivals' pages, by at least 65 accounts), filed 2023-11-13.
    """
    rng, m = scene.rng, how.sources
    n = max(m, round(m * how.per_s * how.lasts_s / (2 + 1 / 4 + 1 / _NOTICES)))
    pool = scene.addresses(m, "neighbour")
    turn, nth = np.arange(n) % m, np.arange(n) // m
    account = turn + m * (nth // _NOTICES)
    by = {"ip": pool[turn], "ua": scene.browser(pool)[turn]}
    by["user"] = scene.strangers(int(account.max()) + 1, "owner")[account]
    at_s = (np.arange(n) + rng.uniform(0, 0.6, n)) * 0.96 * how.lasts_s / n
    begins = rng.permutation(20)[:_RIVALS] * 290
    item = begins[np.arange(n) * _RIVALS // n] + (np.arange(n) % (-(-n // _RIVALS))) % 290 + 1
    step_s = min(9.0, 0.01 * how.lasts_s)
    first = nth % _NOTICES == 0
    notices = [_NOTICE.format(one) for one in item.tolist()]
    asked = np.arange(n) % 4 == 3
    states = [_STATE.format(one) for one in item[asked].tolist()]
    return together(
        scene.requests(np.maximum(0, at_s[first] - step_s), "login", **those(by, first)),
        scene.requests(at_s, "item", path=scene.world.items[item - 1], **by),
        scene.requests(at_s + step_s, "graphql", path=notices, status=scene.mostly(n, 202, 422, 1 / 9), **by),
        scene.requests(at_s[asked] + 2 * step_s, "graphql", path=states, **those(by, asked)),
    )


@family(oat="OAT-013", weak=Strength(2, 6, 1800), medium=Strength(8, 60, 900), strong=Strength(20, 180, 300))
def name_turbos(scene: Scene, how: Strength) -> Rows:
    """Short names are worth money, and programs ask after those somebody may give up, to have them in that second.

    Twelve names a machine, the same for all of them, asked after in turn, by ever the same account at each (409). One
    name in ten falls free at some moment; within a third of a second every machine writes it into its profile: the
    first has it (200), all others are late (409), and it is not asked after any more. Nobody looks at anything else.

    Source: B. Krebs, "Facebook, Instagram, TikTok and Twitter target resellers of hacked accounts" (names of few
    letters, and programs called turbos that take them), 2021-02-04.
    """
    rng, m = scene.rng, how.sources
    names = [f"{''.join(one)}" for one in np.array(list("aceiknorstvxz"))[rng.integers(0, 13, (12 * m, 4))]]
    free = np.sort(rng.permutation(len(names))[: max(1, len(names) // 10)])
    falls_s = np.full(len(names), np.inf)
    falls_s[free] = how.lasts_s * rng.uniform(0.15, 0.9, len(free))
    pool, user = scene.addresses(m, "hosting"), scene.strangers(m, "handle")
    ua = np.array([scene.tool() for _ in range(m)])
    n = max(m, round(m * how.per_s * how.lasts_s) - len(free) * m)
    turn = np.arange(n) % m
    at_s = (np.arange(n) + rng.uniform(0, 0.5, n)) * 0.99 * how.lasts_s / n
    name = _in_turn(at_s, np.arange(n), falls_s)
    by = {"ip": pool, "user": user, "ua": ua}
    asked = [_FREE.format(names[one]) for one in name.tolist()]
    parts = [scene.requests(at_s, "graphql", path=asked, status=409, **those(by, turn))]
    for one in free.tolist():
        late_s = np.sort(rng.uniform(0.02, 0.35, m))
        status = np.where(np.arange(m) == 0, 200, 409)
        order = those(by, rng.permutation(m))
        claim = _CLAIM.format(names[one])
        parts.append(scene.requests(falls_s[one] + late_s, "profile", path=claim, status=status, **order))
    return together(*parts)


def _in_turn(at_s: Seconds, nth: Ints, falls_s: Seconds) -> Ints:
    """Which name is asked after at each moment: all by turns, one that has fallen free no more."""
    name = nth % len(falls_s)
    for _ in range(len(falls_s)):
        gone = at_s >= falls_s[name]
        if not gone.any():
            break
        name = np.where(gone, (name + 1) % len(falls_s), name)
    return name


@family(weak=Strength(1, 4, 2400), medium=Strength(1, 60, 1200), strong=Strength(5, 108, 600))
def spoofed_orders(scene: Scene, how: Strength) -> Rows:
    """Large orders that are never meant press a price, a small one on the other side is filled, and they are gone.

    A customer's own key and program, at home. In each round it looks at the price, places five orders of hundreds, and
    moves each of them four times, a little after the price, which it looks at before. Then one order of a few on the
    other side, filled (200), and within a second all five are taken back (200; one in thirty was too late, 409). A
    pause about half as long as a round, and from the beginning.

    Source: US Department of Justice, N. S. Sarao pleaded guilty (a program placed, moved and took back orders he never
    meant, up to the "flash crash" of 2010-05-06), 2016-11-09.
    """
    rng, m, parts = scene.rng, how.sources, []
    keys, ips = rng.permutation(40)[:m].tolist(), scene.addresses(m, "neighbour").tolist()
    a_round = 1 + _LAYERS + _MOVES * (1 + _LAYERS) + 1 + _LAYERS
    for key, ip in zip(keys, ips, strict=True):
        n = max(1, round(how.per_s * how.lasts_s / a_round))
        who = {"ip": np.array([ip]), "key": np.array([scene.key(f"key-app-{key:02d}")])}
        who["ua"] = np.array([scene.tool("python-requests/2.31.0")])
        each_s = how.lasts_s / n
        starts_s = (np.arange(n) + rng.uniform(0, 0.15, n)) * each_s
        thing, price = int(rng.integers(1, 900)), 1000 + np.cumsum(rng.integers(-3, 4, n))
        look = f"/api/v1/items/{thing}"
        moved_s = starts_s[:, None] + each_s * (0.1 + 0.14 * np.arange(_MOVES))
        looks_s = np.concatenate((starts_s, moved_s.ravel()))
        parts.append(scene.requests(looks_s, "api_item", path=look, **who))
        rounds, layer = np.repeat(np.arange(n), _LAYERS), np.tile(np.arange(_LAYERS), n)
        step_s = min(0.4, 0.008 * each_s)
        numbers = [f"{thing}-{nth}-{one}" for nth, one in zip(rounds.tolist(), layer.tolist(), strict=True)]
        costs = (price[rounds] + 4 + layer).tolist()
        placed = [f"{_orders('placeOrder', a)}&qty=300&price={b}" for a, b in zip(numbers, costs, strict=True)]
        parts.append(scene.requests(starts_s[rounds] + (2 + layer) * step_s, "graphql", path=placed, **who))
        for move in range(_MOVES):
            other = [f"{_orders('replaceOrder', a)}&price={b - move}" for a, b in zip(numbers, costs, strict=True)]
            other_s = moved_s[rounds, move] + (1 + layer) * step_s
            parts.append(scene.requests(other_s, "graphql", path=other, **who))
        filled_s = starts_s + 0.66 * each_s
        small = [f"{_orders('placeOrder', f'{thing}-{nth}-x')}&qty=-4" for nth in range(n)]
        parts.append(scene.requests(filled_s, "graphql", path=small, **who))
        back, late = [_orders("cancelOrder", one) for one in numbers], scene.mostly(len(numbers), 200, 409, 1 / 30)
        back_s = filled_s[rounds] + min(0.3, step_s) + 0.12 * layer * min(1.0, step_s)
        parts.append(scene.requests(back_s, "graphql", path=back, status=late, **who))
    return together(*parts)


def _orders(what: str, number: str) -> str:
    """Where something is done with an order."""
    return f"/api/graphql?op={what}&order={number}"


@family(oat="OAT-019", weak=Strength(3, 1, 3600), medium=Strength(12, 10, 1200), strong=Strength(40, 24, 600))
def free_mining(scene: Scene, how: Strength) -> Rows:
    """Whoever is new may have his programs built here for some minutes, and these build nothing but reckon coins.

    Made-up accounts, one after the other at each machine or home: registered (one in eight is taken for what it is
    first, 403), confirmed, a token. Four projects, each begun (201), run (202) and asked after three times; then two
    more runs, which are refused (402), for the free minutes are used up, and the account is left. All the same pace.

    Source: Sysdig, "PURPLEURCHIN" (30 accounts here, 2,000 there, 900 elsewhere), 2022-10-25; Palo Alto Networks
    Unit 42, "PurpleUrchin bypasses CAPTCHA", 2023-01-05.
    """
    rng, m = scene.rng, how.sources
    steps = 3 + _PROJECTS * 5 + 2
    n = max(1, round(m * how.per_s * how.lasts_s / (steps + 1 / 8)))
    lives_s = 0.97 * how.lasts_s / -(-n // m)
    pool = np.where(np.arange(m) % 3 == 0, scene.addresses(m, "hosting"), scene.addresses(m, "bot"))
    turn = np.arange(n) % m
    by = {"ip": pool[turn], "user": scene.strangers(n, "builder"), "ua": scene.browser(np.arange(n) * 7)}
    begins_s = np.arange(n) // m * lives_s + rng.uniform(0, 0.1, n) * lives_s
    a_step_s = 0.88 * lives_s / steps
    parts = []
    for nth, endpoint in enumerate(("register", "verify", "token")):
        parts.append(scene.requests(begins_s + (nth + 0.5) * a_step_s, endpoint, **by))
    seen = rng.permutation(n) % 8 == 0
    parts.append(scene.requests(begins_s[seen], "register", status=403, **those(by, seen)))
    who, project = again(np.full(n, _PROJECTS))
    numbers = rng.integers(10_000, 90_000, n)[who].tolist()
    did = (("createProject", 201), ("startRun", 202), *(("runState", 200),) * 3)
    for nth, (what, status) in enumerate(did):
        at_s = begins_s[who] + (3.5 + 5 * project + nth + rng.uniform(0, 0.3, len(who))) * a_step_s
        path = [_RUN.format(what, a, b) for a, b in zip(numbers, project.tolist(), strict=True)]
        parts.append(scene.requests(at_s, "graphql", path=path, status=status, **those(by, who)))
    for nth in range(2):
        over_s = begins_s + (steps - 1.5 + nth) * a_step_s
        path = [_RUN.format("startRun", one, nth) for one in numbers[::_PROJECTS]]
        parts.append(scene.requests(over_s, "graphql", path=path, status=402, **by))
    return together(*parts)
