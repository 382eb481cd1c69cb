"""First sight: hard good cases where software is built: a cold cache, a warning, a mirror."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.world import Ints

_LIBRARIES: Final = 90


@case()
def cold_build_cache(scene: Scene) -> Rows:
    """A firm's cache of packages is lost, and for an hour and a half each of its builds fetches everything from here.

    Before it hardly a package in twenty minutes. Then twelve runners behind one address with one key: thirty builds,
    each all ninety packages in the same sequence, ten at once, one in forty of an old version that was withdrawn (410)
    and then asked for as it is today. Then the cache is warm, and it is as quiet as before.
    """
    rng, builds = scene.rng, 30
    begin_s, lasts_s = scene.moment(0.25, 0.6), min(5400.0, scene.span_s * 0.25)
    who = {
        "ip": scene.addresses(1, "office"),
        "key": np.array([scene.key("key-batch-buildfarm")]),
        "ua": np.array([scene.tool("pip/25.1 CPython/3.12.9 Linux/6.8")]),
    }
    quiet_s = scene.regular(0, scene.span_s, 1200.0, 0.2)
    path = _packages(rng.integers(0, _LIBRARIES, len(quiet_s)).tolist(), scene)
    parts = [scene.requests(quiet_s, "build", path=path, **who)]
    begins_s = begin_s + lasts_s * np.sort(rng.beta(0.9, 1.6, builds))
    for build_s in begins_s.tolist():
        at_s = build_s + np.repeat(np.arange(_LIBRARIES // 10) * rng.uniform(1.5, 3.5), 10)
        at_s += rng.gamma(2, 0.15, _LIBRARIES)
        status = scene.mostly(_LIBRARIES, 200, 410, 1 / 40)
        parts.append(
            scene.requests(at_s, "build", path=_packages(list(range(_LIBRARIES)), scene), status=status, **who)
        )
        again_s = at_s[status == 410] + rng.uniform(1, 2, int((status == 410).sum()))
        newest = [f"/api/v1/packages/lib-{one}?version=latest" for one in np.flatnonzero(status == 410).tolist()]
        parts.append(scene.requests(again_s, "build", path=newest, **who))
    return together(*parts)


@case()
def advisory_day(scene: Scene) -> Rows:
    """A hole in one library is told of in the morning, and customers' robots look whether it concerns them.

    A robot for each twenty-five accounts of the site, from the clouds of two makers of such robots, each with its
    customer's own key: which versions there are of that library, then of the twenty to sixty others it uses. From ten
    minutes later on, every quarter of an hour, the mended one, which is not there for two hours (404).
    """
    rng, customers = scene.rng, max(8, scene.clients // 25)
    told_s = scene.moment(0.15, 0.35)
    mended_s = told_s + min(7200.0, scene.span_s * 0.3)
    ip = scene.addresses(10, "hosting")
    names = [scene.tool(name) for name in ("renovate/39.7 (+https://robots.example)", "depwatch-bot/2.4")]
    parts = []
    for one in range(customers):
        begins_s = told_s + float(rng.gamma(1.5, 900.0)) * min(1.0, scene.span_s / 28_800)
        key = scene.world.keys.all([f"key-repo-{one:03d}"])
        who = {"ip": ip[one % 10 : one % 10 + 1], "key": key, "ua": np.array([names[one % 2]])}
        used = rng.permutation(_LIBRARIES)[: int(rng.integers(20, 61))]
        look_s = begins_s + np.cumsum(rng.gamma(3, 0.1, len(used) + 1))
        asked = [f"/api/v1/packages/lib-{lib}?versions" for lib in (17, *used.tolist())]
        parts.append(scene.requests(look_s, "build", path=asked, **who))
        again_s = scene.regular(begins_s + 600, min(scene.span_s, mended_s + 1000), 900.0, 0.05)
        status = np.where(again_s < mended_s, 404, 200)
        path = "/api/v1/packages/lib-17?version=4.1.2"
        parts.append(scene.requests(again_s, "build", path=path, status=status, **who))
    return together(*parts)


@case()
def registry_mirror(scene: Scene) -> Rows:
    """A university keeps a copy of all packages for its students, and every two hours makes sure that it is complete.

    One machine, a key of its own, four requests at once: each package's list of versions, nearly all unchanged (304);
    of one in eight there is something new, and the two newest are fetched. For the first time it takes all, eleven
    versions of each, two a second.
    """
    rng = scene.rng
    who = {
        "ip": scene.addresses(1, "office"),
        "key": np.array([scene.key("key-batch-mirror")]),
        "ua": np.array([scene.tool("bandersnatch/6.6 (mirror.university.example)")]),
    }
    begin_s = scene.moment(0.1, 0.3)
    versions = [(lib, at) for lib in range(_LIBRARIES) for at in range(11)]
    first_s = begin_s + np.arange(len(versions)) // 4 * 2.0 + rng.uniform(0, 0.4, len(versions))
    asked = [f"/api/v1/packages/lib-{lib}?version={at // 4}.{at % 4}.0" for lib, at in versions]
    parts = [scene.requests(first_s, "build", path=asked, **who)]
    for round_s in np.arange(begin_s + 3600, scene.span_s, 7200.0).tolist():
        list_s = round_s + np.arange(_LIBRARIES) // 4 * 1.5 + rng.uniform(0, 0.4, _LIBRARIES)
        fresh = rng.random(_LIBRARIES) < 1 / 8
        lists = [f"/api/v1/packages/lib-{lib}?versions" for lib in range(_LIBRARIES)]
        parts.append(scene.requests(list_s, "build", path=lists, status=np.where(fresh, 200, 304), **who))
        for newest in (2, 3):
            path = [f"/api/v1/packages/lib-{lib}?version=2.{newest}.0" for lib in np.flatnonzero(fresh).tolist()]
            parts.append(scene.requests(list_s[fresh] + 0.5 + 0.3 * newest, "build", path=path, **who))
    return together(*parts)


def _packages(which: list[int], scene: Scene) -> Ints:
    return scene.world.paths.all([f"/api/v1/packages/lib-{one}" for one in which])
