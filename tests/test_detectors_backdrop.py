from __future__ import annotations

import numpy as np

from detectors import trees
from detectors.backdrop import FADE, Backdrop
from detectors.features import FEATURES

WIDTH = len(FEATURES)


class Clients:
    """Who asks on what route, minute after minute, and what the control group leaves of his surprise."""

    def __init__(self, n: int, route: int = 1, *, established: bool = True) -> None:
        self.slot, self.route = np.arange(n), np.full(n, route, np.uint64)
        self.weight = np.full(n, 1.0 if established else 0.0)
        self.state = (np.zeros(n), np.zeros(n, np.int64), np.zeros(n, np.uint64))

    def ask(self, backdrop: Backdrop, hop: int, surprise: float) -> np.ndarray:
        hops = np.full(len(self.slot), hop)
        own = trees.owned(self.slot, hops, self.route, self.weight, self.state, FADE)
        t = np.full((len(self.slot), WIDTH), surprise)
        kind = np.zeros(len(self.slot), np.uint8)
        return backdrop.left_of(t, kind, self.route, hops, self.weight, own).max(axis=1)


def test_what_befalls_all_established_clients_of_a_route_is_nobodys_oddity_from_the_first_moment_on() -> None:
    backdrop, many, fresh = Backdrop(), Clients(30), Clients(5, established=False)
    assert many.ask(backdrop, 100, 6.0).max() < 0.7
    assert fresh.ask(backdrop, 100, 6.0).max() < 0.7
    assert Clients(5, route=2, established=False).ask(backdrop, 100, 6.0).min() == 6.0


def test_when_it_is_over_it_is_odd_again_within_minutes() -> None:
    backdrop, many, fresh = Backdrop(), Clients(30), Clients(1, established=False)
    many.ask(backdrop, 100, 6.0)
    for hop in range(106, 166, 6):
        many.ask(backdrop, hop, 0.0)
    assert fresh.ask(backdrop, 166, 6.0)[0] > 5.0


def test_an_established_client_alone_on_a_route_is_not_his_own_control_group() -> None:
    backdrop, one = Backdrop(), Clients(1)
    left = [one.ask(backdrop, hop, 6.0)[0] for hop in range(100, 220, 6)]
    assert min(left) == 6.0


def test_newcomers_however_many_are_no_control_group() -> None:
    backdrop, many = Backdrop(), Clients(500, established=False)
    assert [many.ask(backdrop, hop, 6.0).min() for hop in (100, 106, 112)] == [6.0] * 3


def test_ten_seconds_asked_one_by_one_are_as_many_at_once() -> None:
    g = np.random.default_rng(1)
    hop, route = np.sort(g.integers(0, 50, 400)), g.integers(1, 5, 400).astype(np.uint64)
    t, kind = g.gamma(1, 1, (400, WIDTH)), np.zeros(400, np.uint8)
    weight, own = g.integers(0, 2, 400).astype(np.float64), np.zeros(400)
    whole = Backdrop().left_of(t, kind, route, hop, weight, own)
    backdrop, parts = Backdrop(), []
    for one in range(50):
        at = np.flatnonzero(hop == one)
        parts.append(backdrop.left_of(t[at], kind[at], route[at], hop[at], weight[at], own[at]))
    assert np.array_equal(np.concatenate(parts), whole)


def test_routes_beyond_those_held_have_no_control_group_and_quiet_ones_make_room() -> None:
    backdrop = Backdrop(routes_max=2)
    for route in (1, 2, 3):
        Clients(20, route=route).ask(backdrop, 100, 6.0)
    assert len(backdrop.place) == 2
    assert Clients(20, route=3).ask(backdrop, 101, 6.0).min() == 6.0
    backdrop.forget(100 + 360)
    assert len(backdrop.place) == 0
    assert Clients(20, route=3).ask(backdrop, 461, 6.0).max() < 1.0
