"""Attacks from within: a forged sign-on, a colleague who leaves, a partner's machines, a build's key."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.services import staff_accounts
from floodwarden.simulate.world import ITEMS

_REGIONS: Final = ("north", "south", "east", "west", "abroad")
_LIBRARIES: Final = 90
_STEPS: Final = 4  # of a report that is taken along


@family(oat="OAT-018", weak=Strength(1, 1.5, 3000), medium=Strength(2, 15, 900), strong=Strength(4, 70, 420))
def forged_signon(scene: Scene, how: Strength) -> Rows:
    """The key that sign-ons are made with is stolen: members of the staff are in the back office who never signed on.

    Three of them to an address, from a cloud, while they work elsewhere themselves. Orders of one customer after the
    other, four side by side, and after each twelve an export that is fetched; everything is answered.

    Source: S. Reiner (CyberArk), "Golden SAML: newly discovered attack technique forges authentication to cloud apps",
    2017-11-21, and "Golden SAML revisited: the Solorigate connection", 2020-12-29.
    """
    rng = scene.rng
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s, shape=2.0)
    n = len(at_s)
    turn = np.arange(n) // 4 % how.sources
    names = rng.permutation(staff_accounts(scene))[: 3 * how.sources].reshape(how.sources, 3)
    who = {
        "ip": scene.addresses(how.sources, "hosting")[turn],
        "user": names[turn, np.arange(n) // 20 % 3],
        "ua": scene.world.browsers[5:6],
    }
    first = rng.integers(100_000, 160_000, n // 4 + 1)[np.arange(n) // 4] + np.arange(n) % 4
    made = scene.requests(at_s, "backoffice", path=[f"/backoffice/orders/{one}" for one in first.tolist()], **who)
    step = np.arange(n) % 14
    files = [f"/api/v1/exports/{one}" for one in (70_000 + np.arange(n) // 14).tolist()]
    made[step == 12] = scene.requests(at_s, "export", status=202, **who)[step == 12]
    made[step == 13] = scene.requests(at_s, "exported", path=files, **who)[step == 13]
    return made


@family(oat="OAT-018", weak=Strength(1, 1, 3600), medium=Strength(1, 8, 1500), strong=Strength(2, 40, 600))
def parting_exports(scene: Scene, how: Strength) -> Rows:
    """Somebody who has given notice takes the customers along: report after report, region by region, month by month.

    His own account and his own home, one sign-on, then nothing but reports: ordered (202), looked for (202: not ready),
    fetched (200), and one order looked at in between, as if at work. He may do each of it.

    Source: US Court of Appeals for the Fourth Circuit, United States v. Steele (a former employer's database read for
    nine months after leaving), 2014-12; MITRE ATT&CK T1213 (data from information repositories), 2018-04-18.
    """
    rng = scene.rng
    reports = max(2, int(how.sources * how.per_s * how.lasts_s) // _STEPS)
    begins_s = 20 + scene.scattered(reports, max(1.0, how.lasts_s - 60))
    turn = np.arange(reports) % how.sources
    ip = scene.addresses(how.sources, "neighbour")
    user = rng.permutation(staff_accounts(scene))[: how.sources]
    on = scene.requests(rng.uniform(0, 5, how.sources), "sso", ip=ip, user=user, ua=scene.browser(ip))
    who = {"ip": ip[turn], "user": user[turn], "ua": scene.browser(ip)[turn]}
    month = np.arange(reports) // len(_REGIONS)
    asked = [
        f"/api/v1/exports?what=customers&region={_REGIONS[one % 5]}&month={2026 - m // 12}-{12 - m % 12:02d}"
        for one, m in enumerate(month.tolist())
    ]
    files = [f"/api/v1/exports/{one}" for one in (81_000 + np.arange(reports)).tolist()]
    looked = [f"/backoffice/orders/{one}" for one in rng.integers(100_000, 160_000, reports).tolist()]
    return together(
        on,
        scene.requests(begins_s, "export", path=asked, status=202, **who),
        scene.requests(begins_s + rng.uniform(4, 8, reports), "exported", path=files, status=202, **who),
        scene.requests(begins_s + rng.uniform(10, 16, reports), "backoffice", path=looked, **who),
        scene.requests(begins_s + rng.uniform(18, 30, reports), "exported", path=files, **who),
    )


@family(oat="OAT-011", weak=Strength(1, 4, 2400), medium=Strength(1, 60, 900), strong=Strength(2, 200, 420))
def partner_breach(scene: Scene, how: Strength) -> Rows:
    """A partner was broken into, and beside his job runs another: from his network, with his key, in his job's name.

    A machine that has never called stands next to his. Items as the job reads them, no faster than it, and in between,
    two in five, customers' orders, which it has never read: number after number, one in ten nobody's (404). Only what
    is asked for tells.

    Source: ComplyAuto, "Lessons from the 700Credit data breach" (an integration partner's access, 5.8 million people),
    after its notice of 2025-12; B. Krebs, "Target hackers broke in via HVAC company", 2014-02-05.
    """
    rng = scene.rng
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s, shape=4.0)
    n = len(at_s)
    who = {
        "ip": scene.by_turns(scene.addresses(how.sources, "partner"), n),
        "key": np.array([scene.key(f"key-batch-{rng.integers(4)}")]),
        "ua": np.array([scene.tool("nightly-import/3.1 python-requests/2.32")]),
    }
    walk = scene.world.api_items[(int(rng.integers(ITEMS)) + np.arange(n)) % ITEMS]
    made = scene.requests(at_s, "api_item", path=walk, status=scene.mostly(n, 200, 404, 0.004), **who)
    stolen = np.isin(np.arange(n) % 5, (1, 3))
    first = int(rng.integers(10_000, 60_000))
    asked = [f"/api/v1/orders?customer={first + one}" for one in np.cumsum(stolen).tolist()]
    status = scene.mostly(n, 200, 404, 0.1)
    made[stolen] = scene.requests(at_s, "api_orders", path=asked, status=status, **who)[stolen]
    return made


@family(oat="OAT-011", weak=Strength(1, 4, 2400), medium=Strength(1, 60, 600), strong=Strength(3, 105, 300))
def registry_drain(scene: Scene, how: Strength) -> Rows:
    """A worm in a library sent a build's key away: every internal package is fetched with it, all versions, in order.

    For each package what there is of it, then version after version, newest first; all of it exists (200) and comes
    once. The package manager's own name, from a cloud; with three builds' keys when it is strong, each in its limit.

    Source: Wiz, "s1ngularity: supply chain attack leaks secrets on GitHub" (Nx), 2025-08; US CISA, "Widespread
    supply chain compromise impacting npm ecosystem" (Shai-Hulud), 2025-09-23.
    """
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s, shape=6.0)
    n, keys = len(at_s), 3 if how.sources > 1 else 1
    versions = max(2, -(-n // _LIBRARIES))
    asked = [
        f"/api/v1/packages/lib-{package}"
        + (f"?version={(versions - nth) // 4}.{(versions - nth) % 4}.0" if nth else "")
        for package, nth in (divmod(one, versions) for one in range(n))
    ]
    turn = np.arange(n) % how.sources
    first = int(scene.rng.integers(3))
    key = np.array([scene.key(f"key-ci-{(first + one) % 3}") for one in range(keys)])[turn % keys]
    ip, ua = scene.addresses(how.sources, "hosting")[turn], scene.tool("npm/10.9.2 node/v22.14.0 linux x64")
    return scene.requests(at_s, "build", path=asked, ip=ip, key=key, ua=ua)
