"""Attacks on what it costs to serve: reports, a language model, one page asked by all at once."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, together


@family(oat="OAT-015", weak=Strength(2, 2, 2400), medium=Strength(6, 10, 900), strong=Strength(15, 60, 300))
def export_bill(scene: Scene, how: Strength) -> Rows:
    """Trial keys order the largest report there is and fetch it, again and again: who pays for both is the site.

    A key an address. Each report is ordered (202) and fetched twice (200, some megabytes); one order in thirty comes
    too soon after the last (409), one fetch in fifty times out (504). Every key is within its limit.

    Source: M. Pocwierz, "How an empty S3 bucket can make your AWS bill explode", 2024-04-29; a static site's bill of
    104,500 dollars at Netlify, 2024-02; OWASP API Security Top 10, API4:2023.
    """
    rng = scene.rng
    reports = max(3, int(how.sources * how.per_s * how.lasts_s / 3))
    begins_s = np.sort(scene.scattered(reports, max(1.0, how.lasts_s - 20)))
    turn = rng.permutation(reports) % how.sources
    ip = scene.addresses(how.sources, "hosting")[turn]
    key = np.array([scene.key(f"key-trial-{rng.integers(1 << 24):06x}") for _ in range(how.sources)])[turn]
    ua = scene.tool("node-fetch/3.3.2")
    ordered = scene.requests(begins_s, "export", ip=ip, key=key, ua=ua, status=scene.mostly(reports, 202, 409, 1 / 30))
    parts = [ordered]
    path = scene.world.paths.all([f"/api/v1/exports/{number}" for number in rng.integers(1, 99_999, reports).tolist()])
    for wait_s in (6.0, 9.0):
        fetched_s = begins_s + rng.gamma(3, wait_s / 3, reports)
        status = scene.mostly(reports, 200, 504, 1 / 50)
        parts.append(scene.requests(fetched_s, "exported", path=path, ip=ip, key=key, ua=ua, status=status))
    return together(*parts)


@family(oat="OAT-019", weak=Strength(3, 3, 3000), medium=Strength(10, 10, 1200), strong=Strength(25, 40, 480))
def llm_resale(scene: Scene, how: Strength) -> Rows:
    """The shop's assistant, resold: strangers' questions come through proxies under trial accounts, four to an address.

    No page of the shop is ever opened. An account is used as fast as answers come, then the next; nine in ten are
    answered, the rest are overload (503) or a question the assistant does not take (422).

    Source: Sysdig Threat Research, "LLMjacking: stolen cloud credentials used in new AI attack", 2024-05-06; Microsoft
    Digital Crimes Unit, Storm-2139, 2025-02.
    """
    rng = scene.rng
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s, shape=2.0)
    n = len(at_s)
    turn = rng.permutation(n) % how.sources
    users = scene.strangers(how.sources * 4, "trial")
    user = users[turn * 4 + (at_s / how.lasts_s * 8).astype(np.int64) % 4]
    ip, ua = scene.addresses(how.sources, "hosting")[turn], scene.tool("axios/1.6.7")
    status = rng.choice([200, 503, 422], n, p=[0.91, 0.06, 0.03])
    return scene.requests(at_s, "assistant", ip=ip, user=user, ua=ua, status=status)


@family(oat="OAT-015", weak=Strength(150, 4, 600), medium=Strength(400, 10, 300), strong=Strength(800, 25, 120))
def page_flood(scene: Scene, how: Strength) -> Rows:
    """The front page, from hundreds of routers worldwide at once: four requests in a second, a pause, four again.

    Each router is far below the limit of an address; nothing else is loaded. The more there are, the more fails (up to
    four in ten: 502, 503).

    Source: Yandex and Qrator Labs, the Meris botnet of pipelining routers, 2021-09-09; Google, Cloudflare and Amazon on
    HTTP/2 rapid reset, 2023-10-10; OWASP OAT-015.
    """
    rng = scene.rng
    bursts = max(how.sources, int(how.sources * how.per_s * how.lasts_s / 4))
    turn = np.concatenate([np.arange(how.sources), rng.integers(0, how.sources, bursts - how.sources)])
    at_s = (rng.uniform(0, how.lasts_s, bursts)[:, None] + np.sort(rng.uniform(0, 1, (bursts, 4)), axis=1)).ravel()
    ip = np.repeat(scene.addresses(how.sources, "bot")[turn], 4)
    busy = min(0.4, len(at_s) / how.lasts_s / 800)
    status = rng.choice([200, 503, 502], len(at_s), p=[1 - busy, busy * 0.8, busy * 0.2])
    return scene.requests(at_s, "home", ip=ip, status=status, ua=scene.browser(ip))
