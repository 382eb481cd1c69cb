"""First sight: hard good cases of machines that are told no and wait before they ask again: clusters, a provider."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.machines import backing_off
from floodwarden.simulate.scene import Rows, Scene, together

_PULLERS: Final = ("containerd/1.7.27", "containerd/2.1.3", "cri-o/1.31.6")
_PERIODS: Final = ("invoice.paid", "subscription.updated")  # events that carry a period
_OTHERS: Final = ("payment.succeeded", "customer.updated", "payout.paid")
_RETRIES_S: Final = (60.0, 300.0, 1800.0, 7200.0)


@case()
def moved_packages(scene: Scene) -> Rows:
    """Packages that clusters start their programs from were moved to another name, and clusters ask for the old one.

    A customer for each hundred accounts, one address and key, a half of them at hosting companies; they fetch a package
    every ten minutes or so. From one hour on those of one collection are not there (404). Each cluster has four to
    twenty programs that start anew some time after it: each asks, waits ten seconds, twenty, forty, up to five minutes,
    and asks again, until somebody writes the new name down, with the first customer after half an hour and with the
    last after half the run; then all of them have it.

    Source: Bitnami (Broadcom), images moved to "bitnamilegacy" from 2025-08-28 on (issue 35164 of its charts); clusters
    that report ImagePullBackOff ask every five minutes for good.
    """
    rng, customers = scene.rng, max(4, scene.clients // 100)
    moved_s = scene.moment(0.1, 0.25)
    mended_s = moved_s + np.geomspace(min(1800.0, 0.1 * scene.span_s), 0.5 * scene.span_s, customers)
    half = customers // 2
    ip = np.concatenate([scene.addresses(half, "hosting"), scene.addresses(customers - half, "office")])
    parts = []
    for one in range(customers):
        who = {"ip": int(ip[one]), "key": scene.key(f"key-pull-{one:03d}"), "ua": scene.tool(_PULLERS[one % 3])}
        usual_s = scene.regular(0, scene.span_s, rng.uniform(450, 800), 0.3)
        path = [f"/api/v1/packages/lib-{number}" for number in rng.integers(0, 90, len(usual_s)).tolist()]
        parts.append(scene.requests(usual_s, "build", path=path, **who))
        for _ in range(int(rng.integers(4, 21))):
            name, starts_s = f"stack-{int(rng.integers(12))}", rng.uniform(moved_s, mended_s[one])
            asked_s = backing_off(scene, starts_s, mended_s[one], 10.0, 300.0)
            parts.append(scene.requests(asked_s, "build", path=f"/api/v1/packages/{name}", status=404, **who))
            has_s = mended_s[one] + rng.uniform(0, 90, 1)
            parts.append(scene.requests(has_s, "build", path=f"/api/v1/packages/legacy-{name}", **who))
    return together(*parts)


@case()
def unknown_events(scene: Scene) -> Rows:
    """The subscriptions' provider writes two kinds of its events in another way, and the shop cannot read them.

    From two addresses, one event for sixty of people's requests. For four hours from a release on the two kinds that
    carry a period, two in five events, are refused (400), and each comes again after a minute, five more, half an hour
    and two hours, while the others are taken as ever. Then the shop is mended, and all that is still owed is sent,
    three a second, and taken.

    Source: Stripe, version 2025-03-31 ("basil": a subscription has no current period any more), and its guide to
    webhooks (what is not taken is sent again for up to three days), read 2026-11.
    """
    rng, ip = scene.rng, scene.addresses(2, "partner")
    sick_s, lasts_s = scene.moment(0.15, 0.4), min(14_400.0, 0.4 * scene.span_s)
    well_s = sick_s + lasts_s
    at_s = scene.steady(scene.requests_per_s / 60, scene.span_s, shape=1.0)
    dated = rng.random(len(at_s)) < 0.4
    kind = np.where(dated, rng.integers(0, len(_PERIODS), len(at_s)), rng.integers(0, len(_OTHERS), len(at_s)))
    paths = [f"/hooks/payments?type={one}" for one in (*_PERIODS, *_OTHERS)]
    path = scene.world.paths.all(paths)[np.where(dated, kind, kind + len(_PERIODS))]
    refused = dated & (at_s > sick_s) & (at_s < well_s)
    ua = scene.tool("SubBill-Hooks/3.0 (+https://subbill.example/webhooks)")
    where, answer = scene.by_turns(ip, len(at_s)), np.where(refused, 400, 200)
    parts = [scene.requests(at_s, "callback", path=path, ip=where, ua=ua, status=answer)]
    owed, owed_s = path[refused], at_s[refused]
    for wait_s in np.cumsum(_RETRIES_S).tolist():
        retried = owed_s + wait_s < well_s
        some_s = owed_s[retried] + wait_s + rng.uniform(0, 4, int(retried.sum()))
        where = scene.by_turns(ip, len(some_s))
        parts.append(scene.requests(some_s, "callback", path=owed[retried], ip=where, ua=ua, status=400))
    sent_s = np.asarray(well_s + 60 + np.arange(len(owed)) / 3, np.float64)
    where = scene.by_turns(ip, len(owed))
    return together(*parts, scene.requests(sent_s, "callback", path=owed, ip=where, ua=ua))
