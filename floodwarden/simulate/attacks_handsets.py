"""Attacks by what lives on others' telephones and computers: purchases, files to fetch, tokens."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together

_TOKEN_LASTS_S: Final = 290.0
_TOLL: Final = (
    ("token", 0.0, 200), ("app_item", 0.7, 200), ("cart_add", 0.5, 200), ("checkout", 0.6, 200), ("verify", 2.5, 200),
    ("pay", 0.8, 200),
)  # fmt: skip
_FILES: Final = 5


@family(oat="OAT-012", weak=Strength(10, 0.1, 3600), medium=Strength(80, 0.3, 1200), strong=Strength(400, 0.9, 400))
def subscription_trojan(scene: Scene, how: Strength) -> Rows:
    """A game with something in it buys a subscription on its owner's telephone, and reads the code that confirms it.

    The owner's own telephone, carrier, account and app; the same thing each, once a telephone: token, item, cart,
    checkout, code, paid, in five seconds, faster than anybody could tap. One in ten is not paid (402). Taken one by one
    each is nearly its owner; together they all want one thing that hardly anybody looks at.

    Source: Microsoft 365 Defender Research, "Toll fraud malware: how an Android application can drain your wallet",
    2022-06-30.
    """
    rng, phones = scene.rng, how.sources
    begins_s = scene.scattered(phones, max(1.0, how.lasts_s - 8))
    versions = scene.world.agents.all([f"ShopApp/6.0.{one} (Android {12 + one % 3})" for one in range(6)])
    who = {
        "ip": scene.addresses(phones, "sim"),
        "user": scene.accounts(phones, distinct=True),
        "ua": versions[rng.integers(0, len(versions), phones)],
    }
    made = scripted(scene, begins_s, _TOLL, **who)
    made["path"][phones : 2 * phones] = scene.world.paths.code(f"/api/v2/items/{int(rng.integers(4000, 6000))}")
    paid = made[-phones:]
    paid["status"][rng.random(phones) < 0.1] = 402
    return made


@family(weak=Strength(60, 0.1, 3000), medium=Strength(300, 0.5, 900), strong=Strength(900, 2, 300))
def free_hosting(scene: Scene, how: Strength) -> Rows:
    """The shop keeps an attacker's files for him: put up as a picture of an account, fetched by infected computers.

    One address in sixty puts a picture up under accounts of its own (two each time), and from then on the others
    fetch it, from all over the world, under the name of a system's download service, and nothing else. When somebody
    takes a file away (404) the next is up: five in all, and each ends in a few that miss it.

    Source: McAfee Labs, "Redline stealer: a novel approach" (files that lay with GitHub's own repositories),
    2024-04-17; Cisco Talos, on malware as a service kept at GitHub, 2025-07.
    """
    rng = scene.rng
    n = max(how.sources, round(how.sources * how.per_s * how.lasts_s))
    keepers = max(1, how.sources // 60)
    life_s = how.lasts_s / _FILES
    at_s = np.sort(rng.uniform(4, how.lasts_s, n))
    file = np.minimum((at_s // life_s).astype(np.int64), _FILES - 1)
    age = at_s / life_s - file
    names = [f"/uploads/avatars/{one:012x}.png" for one in rng.integers(1 << 44, size=_FILES).tolist()]
    ip = scene.by_turns(scene.addresses(how.sources - keepers, "bot"), n)
    ua, path = scene.tool("Microsoft BITS/7.8"), scene.world.paths.all(names)[file]
    fetched = scene.requests(at_s, "missing", path=path, ip=ip, ua=ua, status=np.where(age > 0.95, 404, 200))
    times_s = np.repeat(np.arange(_FILES) * life_s, 2 * keepers) + rng.uniform(0, 3, 2 * keepers * _FILES)
    at = scene.addresses(keepers, "hosting")[np.arange(len(times_s)) % keepers]
    user = scene.strangers(len(times_s), "painter")
    put = scene.requests(times_s, "profile", ip=at, user=user, ua=scene.browser(at))
    return together(fetched, put)


@family(weak=Strength(2, 2, 3000), medium=Strength(4, 12, 1500), strong=Strength(8, 30, 720))
def token_keeping(scene: Scene, how: Strength) -> Rows:
    """Tokens stolen from infected computers are renewed every five minutes, and nothing else, until somebody buys them.

    Nobody signs in and no page is read: a renewal an account (200), at its own moment, always from the same address.
    One account in ten is lost on the way, its owner signed out (401), and is not asked for again.

    Source: CloudSEK, "Compromising Google accounts: malwares exploiting undocumented OAuth2 functionality for session
    hijacking", 2023-12-29.
    """
    rng = scene.rng
    rounds = max(1, int(how.lasts_s // _TOKEN_LASTS_S))
    accounts = max(how.sources, round(how.sources * how.per_s * how.lasts_s / rounds / 0.95))
    lost = np.where(rng.random(accounts) < 0.1, rng.integers(0, rounds, accounts), rounds)
    first_s = rng.uniform(0, min(_TOKEN_LASTS_S, how.lasts_s), accounts)
    who = np.repeat(np.arange(accounts), np.minimum(lost + 1, rounds))
    nth = np.arange(len(who)) - np.searchsorted(who, who)
    at_s = first_s[who] + nth * _TOKEN_LASTS_S + rng.uniform(0, 2, len(who))
    ip = scene.addresses(how.sources, "hosting")[np.arange(accounts) % how.sources]
    user, status = scene.accounts(accounts, distinct=True), np.where(nth == lost[who], 401, 200)
    ua = scene.tool("okhttp/4.12.0")
    return scene.requests(at_s, "token", ip=ip[who], user=user[who], ua=ua, status=status)
