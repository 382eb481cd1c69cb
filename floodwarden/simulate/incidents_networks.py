"""Hard good cases of networks: a provider that gives out other prefixes, one whose IPv6 comes and goes."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Mask, change
from floodwarden.simulate.scene import Rows, Scene
from floodwarden.simulate.world import ABSENT, Ints

_RENUMBERED: Final = 64_497
_FLAPPING: Final = 64_498
_SLOT_MS: Final = 10_000  # so long a browser keeps to one of its two addresses


@change()
def prefix_renumbering(scene: Scene, made: Rows) -> Mask:
    """A provider gives all its IPv6 customers other prefixes within a minute, and their sessions go on as before.

    A third of the visitors on IPv6: each has another address of another /64 from then on, with the same account and the
    same browser; nobody is thrown out.
    """
    begin_ms = int(scene.moment(0.3, 0.6) * 1000)
    where = np.array([":" in text for text in scene.world.ips.texts]) & (np.array(scene.world.asns) == _RENUMBERED)
    plain = (made["label"] == 0) & (made["key"] == ABSENT) & where[made["ip"]]
    moved_ms = begin_ms + made["ip"].astype(np.int64) * 7919 % 60_000
    touched = plain & (made["ts_ms"] >= moved_ms)
    made["ip"][touched] = _others(scene, made["ip"][touched], _RENUMBERED)
    return np.asarray(touched)


@change()
def happy_eyeballs(scene: Scene, made: Rows) -> Mask:
    """For two hours a provider's IPv6 comes and goes, and its customers' browsers change between their two addresses.

    A sixth of the visitors from home. Every ten seconds or so a browser settles on the one or the other anew, in
    mid-visit and signed in; both are the customer's own.
    """
    begin_ms, lasts_ms = int(scene.moment(0.3, 0.6) * 1000), int(min(7200.0, scene.span_s * 0.3) * 1000)
    where = np.array(["." in text for text in scene.world.ips.texts]) & (np.array(scene.world.asns) == _FLAPPING)
    during = (made["ts_ms"] >= begin_ms) & (made["ts_ms"] < begin_ms + lasts_ms)
    plain = (made["label"] == 0) & (made["key"] == ABSENT) & where[made["ip"]]
    rows = np.flatnonzero(plain & during)
    slot = made["ts_ms"][rows] // _SLOT_MS
    six = rows[(made["ip"][rows].astype(np.int64) * 104_729 + slot * 7919) % 1009 % 2 == 1]
    made["ip"][six] = _others(scene, made["ip"][six], _FLAPPING)
    return np.asarray(plain & during)


def _others(scene: Scene, ip: Ints, asn: int) -> Ints:
    """For each address another on IPv6, always the same, of the same provider."""
    whose, at = np.unique(ip, return_inverse=True)
    drawn = scene.addresses(3 * len(whose) + 3, "home6")  # they go round three providers
    return np.asarray(drawn[np.array(scene.world.asns)[drawn] == asn][: len(whose)][at])
