"""First sight: hard good cases of programs in somebody's place: agents, and all that hangs on a key."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.scene import Rows, Scene, scripted, together

_GUESSES: Final = (
    "/api/v1/products", "/api/v1/inventory", "/api/v1/items/search", "/v1/items", "/api/items", "/api/v3/items",
    "/api/v1/categories", "/docs", "/openapi.json", "/api/v1/prices", "/api/v1/me", "/api/v1/orders/latest",
)  # fmt: skip
_BROWNOUT_S: Final = 600.0


@case()
def guessing_agent(scene: Scene) -> Rows:
    """Customers let a language model find out how the interface works, which mostly guesses what it might be called.

    An agent for each 250 accounts, with its customer's own key, from his home. It thinks for a quarter of a minute, and
    asks three or four things at once: of its first sixty requests a half are routes that do not exist (404), a quarter
    is refused (400, 422, 405). Then it has understood: three hundred items, eight at once, and a report.
    """
    rng, parts = scene.rng, []
    agents = max(3, scene.clients // 250)
    ip = scene.addresses(agents, "home")
    for one in range(agents):
        begin_s, tries, works = scene.moment(0.05, 0.6), 60, 300
        key = scene.world.keys.all([f"key-agent-{one:02d}"])
        who = {"ip": ip[one : one + 1], "key": key, "ua": np.array([scene.tool("python-httpx/0.28.1")])}
        at_s = begin_s + np.repeat(np.cumsum(rng.gamma(4, 4.0, 20)), 3)[:tries] + rng.uniform(0, 0.3, tries)
        kind = rng.choice(5, tries, p=[0.5, 0.13, 0.08, 0.04, 0.25])
        for which, (endpoint, status) in enumerate(
            (("missing", 404), ("api_items", 400), ("graphql", 422), ("api_options", 405), ("api_items", 200))
        ):
            mine = at_s[kind == which]
            path = [_GUESSES[n] for n in rng.integers(0, len(_GUESSES), len(mine)).tolist()] if which == 0 else None
            parts.append(scene.requests(mine, endpoint, path=path, status=np.array([status]), **who))
        works_s = at_s[-1] + 30 + np.repeat(np.cumsum(rng.gamma(3, 6.0, works // 8 + 1)), 8)[:works]
        item = scene.world.api_items[(int(rng.integers(5000)) + np.arange(works))]
        parts.append(scene.requests(works_s + rng.uniform(0, 0.4, works), "api_item", path=item, **who))
        ends_s = works_s[-1:] + 20
        file = f"/api/v1/exports/{int(rng.integers(1, 99_999))}"
        parts.append(scene.requests(ends_s, "export", status=np.array([202]), **who))
        parts.append(scene.requests(ends_s + 25, "exported", path=file, **who))
    return together(*parts)


@case()
def mass_rotation(scene: Scene) -> Rows:
    """A build service that many customers use may have given their keys away, and within four hours all change theirs.

    A customer for each twenty-five accounts, a request in four minutes each. One by one: a new key (201), a look
    whether it works, and whether the old one is dead (401). Three in ten forgot a program, which goes on with the old
    key every minute, in vain, until somebody sees it: after a quarter of an hour, or after three hours.
    """
    rng, customers = scene.rng, max(10, scene.clients // 25)
    told_s, longest_s = scene.moment(0.15, 0.35), min(14_400.0, scene.span_s * 0.35)
    changes_s = told_s + longest_s * rng.beta(1.2, 2.5, customers)
    ip, parts = scene.addresses(customers, "office"), []
    for one, change_s in enumerate(changes_s.tolist()):
        old, new = (scene.world.keys.all([f"key-team-{one:03d}{which}"]) for which in ("", "-r2"))
        who = {"ip": ip[one : one + 1], "ua": np.array([scene.tool()])}
        usual_s = scene.regular(0, scene.span_s, 240.0, 0.2)
        key = np.where(usual_s < change_s, old[0], new[0])
        parts.append(scene.requests(usual_s, "api_orders", key=key, **who))
        steps = [("token", 0.0, 201), ("api_orders", 8.0, 200), ("api_orders", 15.0, 401)]
        checked = scripted(scene, np.array([change_s]), steps, **who)
        checked["key"] = np.array([old[0], new[0], old[0]])
        parts.append(checked)
        if rng.random() < 0.3:
            until_s = min(scene.span_s, change_s + float(rng.uniform(900, 10_800)))
            lost_s = scene.regular(change_s + 20, until_s, 60.0, 0.03)
            parts.append(scene.requests(lost_s, "api_items", key=old, status=np.full(len(lost_s), 401), **who))
    return together(*parts)


@case()
def sunset_brownouts(scene: Scene) -> Rows:
    """The interface's old version is to end, and so that everybody hears of it, it is off for ten minutes every hour.

    A customer for each fifty accounts still reads items there, one in a minute and a half. In each of those ten minutes
    all of it is gone (410), and asked for three times more within half a minute. After every such time a fifth of who
    is left has moved to the new version, and there it is as before.
    """
    rng, customers = scene.rng, max(8, scene.clients // 50)
    begin_s = scene.moment(0.1, 0.25)
    off_s = np.arange(begin_s, scene.span_s, min(3600.0, scene.span_s / 5))
    ip, parts = scene.addresses(customers, "office"), []
    for one in range(customers):
        stays = int(rng.geometric(0.2))  # brownouts
        moves_s = off_s[stays - 1] + _BROWNOUT_S if stays <= len(off_s) else scene.span_s
        key = scene.world.keys.all([f"key-legacy-{one:02d}"])
        who = {"ip": ip[one : one + 1], "key": key, "ua": np.array([scene.tool()])}
        at_s = scene.regular(0, scene.span_s, 90.0, 0.15)
        old_s, new_s = at_s[at_s < moves_s], at_s[at_s >= moves_s]
        off = ((old_s[:, None] >= off_s) & (old_s[:, None] < off_s + _BROWNOUT_S)).any(axis=1)
        for asked_s, status in (
            (old_s, np.where(off, 410, 200)),
            ((old_s[off][:, None] + np.array([2.0, 8.0, 25.0])).ravel(), np.full(3 * int(off.sum()), 410)),
        ):
            item = scene.world.api_items[rng.integers(0, 300, len(asked_s))]
            parts.append(scene.requests(asked_s, "api_item", path=item, status=status, **who))
        item = scene.world.paths.all([f"/api/v2/items/{n}" for n in rng.integers(1, 301, len(new_s)).tolist()])
        parts.append(scene.requests(new_s, "app_item", path=item, **who))
    return together(*parts)
