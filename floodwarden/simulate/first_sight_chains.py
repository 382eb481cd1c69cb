"""First sight: attacks that come along with what one uses: a library, an agent's skill, an assistant, a document."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together

_INSTALL: Final = (
    ("build", 0.4, 200), ("build", 0.3, 200), ("build", 1.2, 200), ("token", 0.2, 201), ("api_orders", 0.1, 403),
    ("export", 0.1, 403), ("device", 0.3, 201),
)  # fmt: skip
_ASKED: Final = ("lib-17?version=4.1.1", "-/whoami", "-/owned?by=me")
_SKILL: Final = (("api_item", 0.0, 200), ("api_orders", 0.4, 200), ("export", 0.3, 202), ("exported", 6.0, 200))
_SPEC: Final = (
    "list", "item", "reviews", "search", "cart_add", "coupon", "checkout", "account", "orders", "token", "suggest",
    "api_items", "api_item", "api_orders", "api_stock", "telemetry", "build", "app_item", "app_feed", "balance",
    "invoice", "vote", "graphql", "export", "exported", "device",
)  # fmt: skip
_VALUES: Final = (
    "-1", "0", "9223372036854775808", "1e309", "%00", "'", "null", "[]", "{}", "true", "%F0%9F%92%A9", "A" * 512,
    "..%2f", "2026-13-45", "%ff%fe", "",
)  # fmt: skip


@family(weak=Strength(2, 0.6, 2400), medium=Strength(6, 6, 1200), strong=Strength(20, 18, 900))
def install_script(scene: Scene, how: Strength) -> Rows:
    """A library's new release looks around where it is built: the build itself asks who it is, and whose it may be.

    In the builds' own network with the builds' own keys, each time the release was fetched, within two seconds and all
    by itself: who am I, what is mine, a token (201), orders and reports (403), and one more runner is registered (201).
    Then nothing until the next build.

    Source: eslint-scope, postmortem of a release that read its installers' credentials, 2018-07-12; Wiz, "Shai-Hulud
    2.0" (runners registered in the victims' own builds), 2025-11-24.
    """
    rng, m = scene.rng, how.sources
    steps = len(_INSTALL)
    n = max(2, m, round(m * how.per_s * how.lasts_s / steps))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 6))
    ip = scene.by_turns(scene.addresses(m, "partner"), n)
    key = scene.world.keys.all([f"key-ci-{one}" for one in range(3)])[ip % 3]
    made = scripted(scene, begins_s, _INSTALL, ip=ip, key=key, ua=scene.tool("undici node/v22.14.0"))
    for step, asked in enumerate(_ASKED):
        made["path"][step * n : (step + 1) * n] = scene.world.paths.code(f"/api/v1/packages/{asked}")
    made["ua"][:n] = scene.tool("npm/10.9.2 node/v22.14.0 linux x64")
    names = [f"/api/v2/devices?serial=runner-{one:06x}" for one in rng.integers(1 << 24, size=n).tolist()]
    made["path"][(steps - 1) * n :] = scene.world.paths.all(names)
    return made


@family(oat="OAT-011", weak=Strength(5, 0.4, 3000), medium=Strength(20, 2, 1200), strong=Strength(40, 12, 480))
def skill_skimming(scene: Scene, how: Strength) -> Rows:
    """A skill that customers gave to their agents does what it says, and sends their orders away as well.

    Each customer's own key from his own home. Whenever he has the price of an item looked up, the same three follow
    within seconds, which he has never asked for: his orders, a report of them, and its file. The same with every
    customer, a page further each time, under the runtime's one name.

    Source: Koi Security, "First malicious MCP in the wild: the Postmark backdoor that's stealing your emails",
    2025-09-25.
    """
    rng, m = scene.rng, how.sources
    steps = len(_SKILL)
    n = max(m, round(m * how.per_s * how.lasts_s / steps))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 15))
    who = scene.by_turns(np.arange(m), n)
    keys = scene.world.keys.all([f"key-app-{one:02d}" for one in rng.permutation(40)[:m].tolist()])
    ip, ua = scene.addresses(m, "neighbour")[who], scene.tool("agent-runtime/0.9.2 (mcp; price-helper/1.0.16)")
    made = scripted(scene, begins_s, _SKILL, ip=ip, key=keys[who % len(keys)], ua=ua)
    made["path"][:n] = scene.world.api_items[rng.integers(0, 400, n)]
    pages = np.zeros(m, np.int64)
    nth = np.empty(n, np.int64)
    for at, one in enumerate(who.tolist()):
        pages[one] += 1
        nth[at] = pages[one]
    made["path"][n : 2 * n] = scene.world.paths.all([f"/api/v1/orders?page={page}" for page in nth.tolist()])
    files = [f"/api/v1/exports/{one}" for one in rng.integers(1, 99_999, n).tolist()]
    made["path"][3 * n :] = scene.world.paths.all(files)
    return made


@family(oat="OAT-018", weak=Strength(2, 1, 2400), medium=Strength(4, 8, 1200), strong=Strength(10, 45, 480))
def confused_assistant(scene: Scene, how: Strength) -> Rows:
    """The shop's own assistant reads others' orders for whoever words his question so that it takes him for the shop.

    Accounts at home ask it (200, one question in eight is declined, 422); seconds after each answer its own machine,
    with its own key, asks for the orders of three customers, who are not those that talk to it. Customer after
    customer, in the sequence of their numbers; one in ten is nobody's (404).

    Source: Aim Labs, "EchoLeak" (CVE-2025-32711: an assistant made to give away what it may read), 2025-06-11;
    Invariant Labs, "GitHub MCP exploited", 2025-05-26.
    """
    rng, m = scene.rng, how.sources
    inside = max(1, m // 5)  # machines of the assistant
    asks = max(m, round(m * how.per_s * how.lasts_s / 3.6))
    begins_s = scene.scattered(asks, max(1.0, how.lasts_s - 12))
    homes = scene.addresses(m - inside, "neighbour")
    turn = np.arange(asks) % len(homes)
    users = scene.strangers(len(homes), "curious")
    declined = rng.permutation(asks) % 8 == 0
    who = {"ip": homes[turn], "user": users[turn], "ua": scene.browser(homes)[turn]}
    said = scene.requests(begins_s, "assistant", status=np.where(declined, 422, 200), **who)
    read_s = np.sort((begins_s[~declined][:, None] + 2.5 + rng.uniform(0, 2, (int((~declined).sum()), 3))).ravel())
    n, first = len(read_s), int(rng.integers(10_000, 60_000))
    read = scene.requests(
        read_s,
        "api_orders",
        path=[f"/api/v1/orders?customer={first + one}" for one in range(n)],
        ip=scene.addresses(inside, "partner")[np.arange(n) % inside],
        key=scene.key("key-poll-assistant"),
        status=scene.mostly(n, 200, 404, 0.1),
        ua=scene.tool("shop-assistant/1.8 (tools)"),
    )
    return together(said, read)


@family(oat="OAT-014", weak=Strength(1, 3, 2400), medium=Strength(2, 40, 900), strong=Strength(6, 115, 420))
def spec_fuzzing(scene: Scene, how: Strength) -> Rows:
    """The interface's own description is fetched, and a program works it off: every route there is, every value wrong.

    A free key to a machine. After the document, route by route as they stand in it, sixteen values each that are not
    what it says: half are 400, a quarter 422, one in fifteen is an error of the server's (500), which is asked for
    twice more, and the rest is 404, 405 or, wrongly, 200.

    Source: Microsoft Research, "RESTler finds security and reliability bugs through automated fuzzing", 2020-11-16;
    OWASP API Security Top 10, API8:2023 (security misconfiguration), 2023-06.
    """
    rng, m = scene.rng, how.sources
    n = max(16, round(m * how.per_s * how.lasts_s / (1 + 2 / 15)) - m)
    at_s = 5 + scene.steady(n / max(10.0, how.lasts_s - 10), max(10.0, how.lasts_s - 10), shape=8.0)[:n]
    n = len(at_s)
    turn, nth = np.arange(n) % m, np.arange(n) // m
    keys = scene.world.keys.all([f"key-trial-{one:05d}" for one in rng.permutation(90_000)[:m].tolist()])
    ip, ua = scene.addresses(m, "hosting"), scene.tool("restler/9.2.4")
    status = rng.choice([400, 422, 500, 404, 405, 200], n, p=[0.5, 0.25, 1 / 15, 0.06, 0.04, 1 - 0.85 - 1 / 15])
    route, value = nth // len(_VALUES) % len(_SPEC), nth % len(_VALUES)
    parts = [scene.requests(rng.uniform(0, 4, m), "missing", path="/openapi.json", ip=ip, key=keys, ua=ua)]
    for one, endpoint in enumerate(_SPEC):
        here = np.flatnonzero(route == one)
        if not len(here):
            continue
        base = scene.world.paths.texts[scene.world.fixed(endpoint)]
        wrong = [f"{base}?fuzz={at}".replace("{id}", at).replace("{name}", at) for at in np.array(_VALUES)[value[here]]]
        again = np.repeat(here, np.where(status[here] == 500, 3, 1))
        paths = scene.world.paths.all([wrong[at] for at in np.searchsorted(here, again).tolist()])
        late_s = np.where(np.diff(again, prepend=-1) == 0, rng.uniform(0.2, 0.8, len(again)), 0.0)
        who = {"ip": ip[turn[again]], "key": keys[turn[again]], "status": status[again], "ua": np.full(len(again), ua)}
        parts.append(scene.requests(at_s[again] + late_s, endpoint, path=paths, **who))
    return together(*parts)
