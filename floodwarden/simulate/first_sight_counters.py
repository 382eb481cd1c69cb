"""First sight: hard good cases of everybody asking the same at once: keys to start again, and "was I in it?"."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.people import at_home, typos
from floodwarden.simulate.scene import Rows, Scene, again, those, together
from floodwarden.simulate.world import ABSENT, Ints

_AGENTS: Final = 6  # at a firm's help desk
_SCRIPT: Final = "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.20348.2582"
_PHONE: Final = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1"


@case()
def recovery_keys(scene: Scene) -> Rows:
    """An update of what guards computers stops them all at a blue screen, and each needs a long number to start.

    A firm for each 500 accounts, 90 to 150 computers, for five hours from one morning minute on. Six at the help desk,
    behind one address, sign in and look number after number up, a computer every one to three minutes each; one in nine
    was misheard by telephone (404) and is asked for again, one in eight has to be read out twice. A quarter of the
    people come by themselves, with a telephone at a carrier's address: in (the password mistyped as ever, 401), one
    number. At every second firm somebody has a script fetch all of them in order at half time, one and a half a second.

    Source: CrowdStrike's update of 2024-07-19; Microsoft, "Helping our customers through the CrowdStrike outage" (8.5
    million computers, many of which asked for their disk's recovery key), 2024-07-20.
    """
    rng, firms = scene.rng, max(2, scene.clients // 500)
    lasts_s, begin_s, parts = min(18_000.0, 0.5 * scene.span_s), scene.moment(0.2, 0.4), []
    offices = scene.addresses(firms, "office")
    for firm, ip in enumerate(offices.tolist()):
        n, named = int(rng.integers(90, 151)), int(rng.integers(100, 900))
        asked = _keys_of(scene, named, np.arange(n))
        alone = rng.permutation(n) % 4 == 0
        desk = rng.permutation(np.flatnonzero(~alone))
        agents = {"ip": np.full(_AGENTS, ip), "user": scene.accounts(_AGENTS, distinct=True)}
        agents["ua"] = scene.browser(np.arange(_AGENTS))
        parts.append(scene.requests(begin_s + rng.uniform(0, 0.03, _AGENTS) * lasts_s, "login", **agents))
        turn = np.arange(len(desk)) // _AGENTS
        read_s = begin_s + lasts_s * (0.04 + 0.94 * (turn + rng.uniform(0, 0.6, len(desk))) / (turn[-1] + 1))
        by = those(agents, np.arange(len(desk)) % _AGENTS)
        parts.append(scene.requests(read_s, "graphql", path=asked[desk], **by))
        misheard, twice = rng.permutation(len(desk)) % 9 == 0, rng.permutation(len(desk)) % 8 == 0
        other = _keys_of(scene, named, desk[misheard] + 5000)
        before_s = read_s[misheard] - rng.uniform(8, 20, int(misheard.sum()))
        parts.append(scene.requests(before_s, "graphql", path=other, status=404, **those(by, misheard)))
        parts.append(scene.requests(read_s[twice] + 35, "graphql", path=asked[desk[twice]], **those(by, twice)))
        parts.append(_by_themselves(scene, begin_s + lasts_s * rng.beta(1.2, 2, int(alone.sum())), asked[alone]))
        if firm % 2 == 0:
            script_s = begin_s + 0.5 * lasts_s + np.arange(n) / 1.5
            head = {"ip": ip, "user": int(agents["user"][0]), "ua": scene.tool(_SCRIPT)}
            parts.append(scene.requests(script_s, "graphql", path=asked, **head))
    return together(*parts)


def _keys_of(scene: Scene, firm: int, computers: Ints) -> Ints:
    """Where the numbers of a firm's computers are read."""
    return scene.world.paths.all([f"/api/graphql?op=recoveryKey&device=PC{firm}-{one:05d}" for one in computers])


def _by_themselves(scene: Scene, in_s: np.ndarray, asked: Ints) -> Rows:
    """People who look their own computer's number up by telephone."""
    by = at_home(scene, len(in_s), 1.0) | {"ua": np.full(len(in_s), scene.tool(_PHONE))}
    wrong, nth = again(typos(scene, len(in_s)))
    return together(
        scene.requests(in_s[wrong] - (nth + 1) * 14, "login", status=401, **those(by, wrong)),
        scene.requests(in_s, "login", **by),
        scene.requests(in_s + 20, "graphql", path=asked, **by),
    )


@case()
def settlement_lookup(scene: Scene) -> Rows:
    """Whoever was in a breach may claim money, say the news, and everybody looks whether he was, and his wife, too.

    As many people as the site has requests in a minute (300 at 5 a second), without an account. Two in five hear of it
    at work: an office for each 250 accounts, in which it goes round within forty minutes at noon; the others at home,
    for four hours. Each looks one to five people up, a minute apart, by name and six digits, one time in seven with a
    digit wrong (404) and then again; two in five are not in it (404). One in eight finds nobody there (503) and repeats
    it. Whoever is in it opens a claim (200), one in twelve of which somebody at home has made already (409).

    Source: US Federal Trade Commission on the Equifax settlement (147 million people, a page to look oneself up by name
    and six digits), 2019-07-22; "Equifax data breach: pick free credit monitoring" (very many claims), 2019-07-31.
    """
    rng = scene.rng
    n, lasts_s = max(40, round(scene.requests_per_s * 60)), min(14_400.0, 0.5 * scene.span_s)
    begin_s, work = scene.moment(0.15, 0.4), rng.permutation(n) % 5 < 2
    office, by = rng.integers(0, max(2, scene.clients // 250), n), at_home(scene, n, 0.25)
    by["ip"] = np.where(work, scene.addresses(max(2, scene.clients // 250), "office")[office], by["ip"])
    by["user"] = np.full(n, ABSENT)
    noon_s = 0.05 * lasts_s + 0.15 * lasts_s * rng.random(int(office.max()) + 1)
    comes_s = begin_s + np.where(
        work, noon_s[office] + lasts_s / 6 * rng.beta(1.5, 2, n), lasts_s * rng.beta(1.5, 2, n)
    )
    who, nth = again(rng.integers(1, 6, n))
    pace = min(1.0, lasts_s / 7200)
    looked_s = comes_s[who] + (15 + nth * 60 + rng.uniform(0, 25, len(who))) * pace
    path = _names(scene, len(who))
    absent = rng.random(len(who)) < 0.4
    parts = [scene.requests(comes_s, "article", path="/blog/article-11", **by)]
    parts.append(scene.requests(looked_s, "graphql", path=path, status=np.where(absent, 404, 200), **those(by, who)))
    wrong, busy = rng.random(len(who)) < 1 / 7, rng.random(len(who)) < 1 / 8
    wrong_s = looked_s[wrong] - rng.uniform(9, 14, int(wrong.sum())) * pace
    other = _names(scene, int(wrong.sum()))
    parts.append(scene.requests(wrong_s, "graphql", path=other, status=404, **those(by, who[wrong])))
    busy_s = looked_s[busy] - rng.uniform(3, 8, int(busy.sum())) * pace
    parts.append(scene.requests(busy_s, "graphql", path=path[busy], status=503, **those(by, who[busy])))
    claims = ~absent
    status = scene.mostly(int(claims.sum()), 200, 409, 1 / 12)
    claim_s = looked_s[claims] + rng.uniform(18, 32, int(claims.sum())) * pace
    return together(*parts, scene.requests(claim_s, "register", status=status, **those(by, who[claims])))


def _names(scene: Scene, n: int) -> Ints:
    """People who are looked up, by chance."""
    rng = scene.rng
    letters = np.array(list("abcdefghijklmnoprstuvwz"))[rng.integers(0, 23, (n, 6))]
    digits = rng.integers(0, 1_000_000, n).tolist()
    return scene.world.paths.all(
        [
            f"/api/graphql?op=wasIAffected&name={''.join(one)}&digits={six:06d}"
            for one, six in zip(letters, digits, strict=True)
        ]
    )
