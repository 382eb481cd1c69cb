"""Attacks by those who collect: crawlers that hide or forget, a model's answers, a repository."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.world import ARTICLES, ITEMS, Ints

_DECLARED: Final = "Mozilla/5.0 (compatible; AnswerEngine/1.0; +https://answers.example/bot)"
_HIDDEN: Final = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 "
    "Safari/537.36"
)
_LINKED: Final = 2  # pages read in secret besides each that was refused
_ARCHIVES: Final = 8
_QUESTIONS: Final = 10  # with one token
_GIT: Final = (
    "HEAD", "config", "index", "packed-refs", "logs/HEAD", "refs/heads/main", "refs/remotes/origin/HEAD", "ORIG_HEAD",
    "description", "info/exclude",
)  # fmt: skip


@family(oat="OAT-011", weak=Strength(12, 0.3, 3000), medium=Strength(50, 1.5, 1200), strong=Strength(120, 8, 480))
def stealth_crawler(scene: Scene, how: Strength) -> Rows:
    """A crawler with a name is refused page after page, and each page is then read by machines without one.

    An address in twelve says who it is, asks for robots.txt first, and is answered 403. Half a minute later, from other
    addresses and as one and the same browser, the page it was refused is read, and two items that it names; no script.

    Source: Cloudflare, "Perplexity is using stealth, undeclared crawlers to evade website no-crawl directives",
    2025-08-04.
    """
    rng = scene.rng
    pages = max(how.sources, int(how.sources * how.per_s * how.lasts_s) // (_LINKED + 2))
    open_ip = scene.addresses(max(1, how.sources // 12), "hosting")
    hidden = how.sources - len(open_ip)
    pool = np.concatenate([scene.addresses(hidden // 2, "hosting"), scene.addresses(hidden - hidden // 2, "bot")])
    begins_s = 5 + scene.scattered(pages, max(1.0, how.lasts_s - 60))
    robots = scene.requests(
        rng.uniform(0, 4, len(open_ip)), "missing", path="/robots.txt", ip=open_ip, ua=scene.tool(_DECLARED), status=404
    )
    walk = int(rng.integers(ARTICLES)) + np.arange(pages)
    article, item = scene.world.articles[walk % ARTICLES], scene.world.items[rng.permutation(ITEMS)]
    ip, ua = scene.by_turns(open_ip, pages), scene.tool(_DECLARED)
    refused = scene.requests(begins_s, "article", path=article, ip=ip, ua=ua, status=403)
    by = scene.by_turns(pool, pages * (_LINKED + 1)).reshape(_LINKED + 1, pages)
    later_s = begins_s + rng.gamma(4, 8, pages)
    parts = [robots, refused, scene.requests(later_s, "article", path=article, ip=by[0], ua=scene.tool(_HIDDEN))]
    for nth in range(1, _LINKED + 1):
        at_s = later_s + nth * rng.uniform(1, 6, pages)
        path = item[(np.arange(pages) * _LINKED + nth) % ITEMS]
        parts.append(scene.requests(at_s, "item", path=path, ip=by[nth], ua=scene.tool(_HIDDEN)))
    return together(*parts)


@family(oat="OAT-011", weak=Strength(2, 1, 3000), medium=Strength(8, 8, 1200), strong=Strength(20, 45, 480))
def repeat_downloads(scene: Scene, how: Strength) -> Rows:
    """A crawler fetches the same eight archives over and over, as if it had never seen them, from many addresses.

    It gives a name of its own, keeps nothing, never asks whether anything has changed (no 304), and looks into the
    index of the blog in between (a fifth). All below the limit of an address; one in a hundred is 503.

    Source: E. Holscher (Read the Docs), "AI crawlers need to be more respectful" (73 TB in a month, the same files
    again and again), 2024-07-25.
    """
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s, shape=4.0)
    n = len(at_s)
    ip, ua = scene.by_turns(scene.addresses(how.sources, "hosting"), n), scene.tool("CorpusFetcher/0.3 (+research)")
    files = scene.world.paths.all([f"/downloads/catalogue-{year}.zip" for year in range(2018, 2018 + _ARCHIVES)])
    status = scene.mostly(n, 200, 503, 0.01)
    made = scene.requests(at_s, "missing", path=files[np.arange(n) % _ARCHIVES], ip=ip, ua=ua, status=status)
    index = scene.rng.random(n) < 0.2
    listed = scene.requests(at_s, "article", path=scene.world.articles[:1].repeat(n), ip=ip, ua=ua)
    made[index] = listed[index]
    return made


@family(oat="OAT-011", weak=Strength(20, 0.2, 3600), medium=Strength(80, 1, 1500), strong=Strength(250, 4, 480))
def distillation(scene: Scene, how: Strength) -> Rows:
    """Made-up accounts put prepared questions to the assistant in turn, to train another model with its answers.

    An account an address, and the questions are dealt out: none has asked two more than another. A token every ten
    questions, no page of the shop, an even pace all told, while each account by itself looks like a light user.

    Source: Anthropic, on distillation attacks (24,000 accounts, 16 million exchanges, proxies that spread the load),
    2026-02-23; OWASP Machine Learning Security Top 10, ML05:2023 (model theft).
    """
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s, shape=50.0)
    n = len(at_s)
    who, nth = np.arange(n) % how.sources, np.arange(n) // how.sources
    ip = scene.addresses(how.sources, "bot")
    asked = {"ip": ip[who], "user": scene.strangers(how.sources, "reader")[who], "ua": scene.browser(ip)[who]}
    made = scene.requests(at_s, "assistant", status=scene.mostly(n, 200, 503, 0.01), **asked)
    renewed = (nth == 0) | ((nth + who * 7) % (_QUESTIONS + 1) == 0)
    made[renewed] = scene.requests(at_s, "token", **asked)[renewed]
    return made


@family(oat="OAT-018", weak=Strength(1, 4, 2400), medium=Strength(1, 60, 600), strong=Strength(4, 110, 300))
def git_dump(scene: Scene, how: Strength) -> Rows:
    """A repository that was left on the server is taken away file by file, and nearly all of it is there.

    First what tells of it (HEAD, config, index, logs), then its objects by their hashes, each once; one in twelve is in
    a pack and so is not found (404), the rest is answered 200. No page of the shop.

    Source: Sysdig, "EMERALDWHALE: 15k cloud credentials stolen in operation targeting exposed Git config files",
    2024-10-30.
    """
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s)
    n = len(at_s)
    hashes = scene.rng.integers(1 << 60, size=n).tolist()
    names = [*_GIT, *(f"objects/{one & 0xFF:02x}/{one:038x}" for one in hashes)][:n]
    path: Ints = scene.world.paths.all([f"/.git/{name}" for name in names])
    status = np.where(np.arange(n) < len(_GIT), 200, scene.mostly(n, 200, 404, 1 / 12))
    ip, ua = scene.by_turns(scene.addresses(how.sources, "hosting"), n), scene.tool("python-requests/2.31.0")
    return scene.requests(at_s, "missing", path=path, ip=ip, ua=ua, status=status)
