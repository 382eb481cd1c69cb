"""First sight: hard good cases between machines: sums that do not match, pharmacies."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.scene import Rows, Scene, Seconds, one_client, together
from floodwarden.simulate.world import Ints

_BUILDERS: Final = ("Bazel/release 6.0.0", "conan/1.58.0 (Linux; python 3.10)", "Homebrew/3.6.20 (curl 7.86.0)")
_PACKAGES: Final = 12  # a build needs
_CHANGED: Final = 5  # of which others sums came
_PRACTICE: Final = "RxBridge/7.4 (Windows NT 10.0)"


@case()
def changed_checksums(scene: Scene) -> Rows:
    """Archives are packed by another program since today, their sums are others, and every build believes in a forgery.

    A firm for each sixty accounts builds at hosting companies, a key each, every forty-five minutes: twelve packages,
    each once. For a third of the run five of them have other sums: each is fetched four times, seconds apart, and
    once more by another name; the build fails, is begun anew by itself twice, a minute or two later, and at every third
    firm once more by hand. All is answered well (200): nobody here sees anything but the same files, over and over.

    Source: GitHub, "Update on the future stability of source code archives and hashes" (a new version of Git packed
    them from 2023-01-30 on, and was taken back within hours), 2023-02-21.
    """
    rng, firms = scene.rng, max(8, scene.clients // 60)
    begin_s, lasts_s, parts = scene.moment(0.3, 0.5), scene.span_s / 3, []
    ip = scene.addresses(firms, "hosting")
    for firm in range(firms):
        who = one_client(int(ip[firm]), scene.key(f"key-ci-sums-{firm:03d}"), scene.tool(_BUILDERS[firm % 3]))
        needs = [f"/api/v1/packages/source-{one}" for one in rng.permutation(60)[:_PACKAGES].tolist()]
        built_s = scene.regular(0, scene.span_s, 2700.0, 0.05)
        odd = (built_s > begin_s) & (built_s < begin_s + lasts_s)
        parts.append(_fetched(scene, built_s[~odd], needs, who))
        for nth in range(4 if firm % 3 == 0 else 3):
            late_s = nth * 110 + rng.uniform(0, 40, int(odd.sum())) + (420 if nth == 3 else 0)
            begins_s = built_s[odd] + (late_s if nth else 0)
            parts.append(_fetched(scene, begins_s, needs, who))
            parts += [_fetched(scene, begins_s + 14 + 6 * one, needs[:_CHANGED], who) for one in range(3)]
            other = [f"{one}?mirror=1" for one in needs[:_CHANGED]]
            parts.append(_fetched(scene, begins_s + 36, other, who))
    return together(*parts)


def _fetched(scene: Scene, begins_s: Seconds, packages: list[str], who: dict[str, Ints]) -> Rows:
    """One package after the other, a second or so apart."""
    n = len(packages)
    at_s = np.repeat(begins_s, n) + np.tile(np.arange(n), len(begins_s)) + scene.rng.uniform(0, 0.8, n * len(begins_s))
    return scene.requests(at_s, "build", path=packages * len(begins_s), **who)


@case()
def clearinghouse_switch(scene: Scene) -> Rows:
    """Who passed pharmacies' claims on is down for weeks, and they come here with new keys and all that was left lying.

    A pharmacy for each 25 accounts, a new key and an address of its own each, over half of the run. By hand at first:
    a token that is refused (401, one to three times), orders that it may not see yet (403, two to six, two minutes
    apart); then it is let in, and its program hands in 50 to 110 claims, one in three seconds or so: six in ten are
    taken (200), three in ten not (422: the payer does not know it), of which a half is put right and handed in again,
    one in ten was paid by another way (409). Every quarter of an hour it asks how they fare, to the end.

    Source: UnitedHealth Group, Form 8-K on the attack on Change Healthcare, 2024-02-21; American Hospital Association,
    survey of hospitals that had to change to another clearinghouse, 2024-03-15.
    """
    rng, pharmacies = scene.rng, max(8, scene.clients // 25)
    begin_s, parts = scene.moment(0.06, 0.14), []
    pace = min(1.0, 0.3 * scene.span_s / 1300)
    ip = scene.addresses(pharmacies, "office")
    for one in range(pharmacies):
        who = one_client(int(ip[one]), scene.key(f"key-app-rx-{one:03d}"), scene.tool(_PRACTICE))
        comes_s = begin_s + 0.45 * scene.span_s * rng.beta(1.1, 1.6)
        wrong, early = int(rng.integers(1, 4)), int(rng.integers(2, 7))
        refused_s = comes_s + pace * rng.uniform(30, 60) * np.arange(float(wrong))
        parts.append(scene.requests(refused_s, "token", status=401, **who))
        early_s = comes_s + pace * (200 + np.arange(early) * 120 + rng.uniform(0, 40, early))
        parts.append(scene.requests(early_s, "api_orders", status=403, **who))
        in_s = float(early_s[-1]) + 150 * pace
        n = int(rng.integers(50, 111))
        handed_s = in_s + np.cumsum(rng.gamma(4, 0.75, n)) * min(1.0, pace * 2)
        kind = rng.random(n)
        status = np.where(kind < 0.3, 422, np.where(kind < 0.4, 409, 200))
        path = scene.world.paths.all([f"/api/graphql?op=submitClaim&claim={one}-{claim}" for claim in range(n)])
        parts.append(scene.requests(handed_s, "graphql", path=path, status=status, **who))
        right = kind < 0.15
        right_s = handed_s[-1] + 60 * pace + np.cumsum(rng.gamma(4, 5.0, int(right.sum()))) * pace
        parts.append(scene.requests(right_s, "graphql", path=path[right], **who))
        asked_s = scene.regular(float(handed_s[-1]) + 300 * pace, scene.span_s, 900.0, 0.02)
        parts += [scene.requests(np.array([in_s - 5]), "token", **who), scene.requests(asked_s, "api_orders", **who)]
    return together(*parts)
