"""Attacks by and on programs that think: one that breaks in, and some led astray."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import zipf

_VOLLEY: Final = 6  # requests at once, after a thought
_DOORS: Final = {
    "api_items": "/api/v1/items?filter={}", "graphql": "", "api_orders": "/api/v1/orders?tenant=all&offset={}",
    "export": "/api/v1/exports?what={}", "backoffice": "/backoffice/orders/{}", "api_stock": "/api/v1/stock/{}",
    "token": "", "build": "/api/v1/packages/{}",
}  # fmt: skip
_NAMES: Final = ("curl/8.5.0", "python-httpx/0.27.2", "python-requests/2.32.3")
_LURED: Final = (
    ("login", 0.0, 200), ("search", 2.0, 200), ("item", 3.0, 200), ("reviews", 2.0, 200), ("item", 2.0, 200),
    ("cart_add", 2.0, 200), ("checkout", 3.0, 200), ("pay", 4.0, 200),
)  # fmt: skip


@family(oat="OAT-014", weak=Strength(1, 3, 3000), medium=Strength(2, 24, 1200), strong=Strength(4, 90, 480))
def agentic_intrusion(scene: Scene, how: Strength) -> Rows:
    """A language model breaks in with a customer's key: it thinks, tries six things at once, reads, and thinks again.

    Each volley goes to one door in six wordings within two seconds, from one of three tools. At first two in three are
    refused (400, 401, 403, 404, 405, 422), at the end one in ten: it learns what is asked for. In the last quarter it
    is orders it may not see, page after page (200).

    Source: Anthropic, "Disrupting the first reported AI-orchestrated cyber espionage campaign" (GTG-1002), 2025-11-13.
    """
    rng = scene.rng
    volleys = max(2, round(how.sources * how.per_s * how.lasts_s / _VOLLEY))
    begins_s = np.sort(scene.scattered(volleys, max(1.0, how.lasts_s - 5)))
    volley = np.repeat(np.arange(volleys), _VOLLEY)
    n = len(volley)
    at_s = begins_s[volley] + rng.uniform(0, 2, n)
    progress = at_s / how.lasts_s
    wrong = rng.random(n) < 2 / 3 - 0.57 * np.minimum(progress, 1)
    status = np.where(wrong, rng.choice([400, 401, 403, 404, 405, 422], n, p=[0.25, 0.15, 0.25, 0.15, 0.05, 0.15]), 200)
    turn = volley % how.sources
    keys = np.array([scene.key(f"key-app-{one:02d}") for one in rng.permutation(40)[: how.sources].tolist()])
    tools = np.array([scene.tool(name) for name in _NAMES])
    who = {
        "ip": scene.addresses(how.sources, "hosting")[turn],
        "key": keys[turn],
        "ua": tools[rng.integers(0, 3, volleys)[volley]],
        "status": status,
    }
    door = rng.integers(0, len(_DOORS), volleys)[volley]
    door[progress > 0.75] = list(_DOORS).index("api_orders")
    made = scene.requests(at_s, "token", **who)
    for number, (endpoint, form) in enumerate(_DOORS.items()):
        path = [form.format(50 * one) for one in range(n)] if form else None
        made[door == number] = scene.requests(at_s, endpoint, path=path, **who)[door == number]
    return made


@family(oat="OAT-012", weak=Strength(2, 0.7, 3600), medium=Strength(6, 8, 1200), strong=Strength(12, 50, 420))
def hijacked_agents(scene: Scene, how: Strength) -> Rows:
    """Members' shopping assistants are led astray by what a page tells them, and all buy the same thing at its price.

    From the assistants' own cloud, under a browser's name, for one member after the other: in at the first try, the
    search and the item that was asked for, its reviews, and then another item, always the same, bought within a minute.
    One card in twenty is declined (402). That such assistants come is good; only what they all buy is not.

    Source: Guardio Labs (N. Tal, S. Chen), "Scamlexity: we put agentic AI browsers to the test, they clicked, they
    paid, they failed", 2025-08-20; Palo Alto Networks Unit 42 on indirect prompt injection in the wild, 2026.
    """
    rng = scene.rng
    members = max(2, round(how.sources * how.per_s * how.lasts_s / len(_LURED)))
    begins_s = np.sort(scene.scattered(members, max(1.0, how.lasts_s - 45)))
    ip = scene.addresses(how.sources, "hosting")[np.arange(members) % how.sources]
    ua = scene.tool("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/138.0.0.0 Safari/537.36")
    made = scripted(scene, begins_s, _LURED, ip=ip, user=scene.accounts(members, distinct=True), ua=ua)
    step, wanted = np.repeat(np.arange(len(_LURED)), members), zipf(rng, members, 3000)
    lure = scene.world.items[3000 + int(rng.integers(2000))]
    made["path"][step == 1] = scene.world.searches[wanted % len(scene.world.searches)]
    made["path"][step == 2] = scene.world.items[wanted]
    made["path"][step == 3] = scene.world.reviews[wanted]
    made["path"][step == 4] = lure
    made["status"][(step == 7) & (rng.random(len(made)) < 0.05)] = 402
    return together(made)
