"""The tenth set's good cases of machines are what their sentences say: keys, certificates, a shared /64, hooks."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import each, good, keys, most_in_a_minute, of, paths, share

from floodwarden.simulate.scene import Rows, Scene
from floodwarden.simulate.world import ABSENT

CUSTOMERS, HOSTS, PREFIXES, SENDERS = 20, 32, 2, 8  # at 800 accounts


def op(made: Rows, scene: Scene, name: str) -> Rows:
    """Requests of one operation."""
    return np.asarray(made[np.array([f"op={name}" in path for path in paths(made, scene)], bool)])


def told(made: Rows, *statuses: int) -> Rows:
    return np.asarray(made[np.isin(made["status"], statuses)])


def of_key(made: Rows, scene: Scene, name: str) -> Rows:
    return np.asarray(made[made["key"] == scene.world.keys.codes[name]])


def test_two_in_three_keys_are_over_at_one_moment_and_asked_with_for_hours() -> None:
    made, scene = good("yearly_tokens")
    names = keys(made, scene)
    first = sorted(one for one in names if not one.endswith("b"))
    lapsed = [one for number, one in enumerate(first) if number % 3 > 0]
    assert len(first) == CUSTOMERS
    assert {one for one in names if one.endswith("b")} <= {f"{one}b" for one in lapsed}
    ill = told(of(made, "api_items", "api_orders"), 401)
    assert {scene.world.keys.texts[key] for key in np.unique(ill["key"]).tolist()} <= set(lapsed)
    over_ms = ill["ts_ms"].min()
    for number, name in enumerate(first):
        mine = of_key(made, scene, name)
        if number % 3 == 0:
            assert share(mine, 200) == 1
            continue
        assert (mine["status"][mine["ts_ms"] < over_ms - 12_000] == 200).all()
        after = mine[mine["ts_ms"] > over_ms + 12_000]
        assert (after["status"] == 401).all()
    renewed = of(made, "token")
    assert len(renewed) == len(lapsed) == len(of(made, "account"))
    assert renewed["ts_ms"].max() - over_ms < 1000 * 0.43 * scene.span_s
    forgotten = of(ill, "api_orders")
    assert len(np.unique(forgotten["key"])) == 4
    assert forgotten["ts_ms"].max() > 1000 * (scene.span_s - 700)
    again_ms = np.diff(of(of_key(made, scene, first[1]), "api_items")["ts_ms"])
    assert 8000 < again_ms.min() < again_ms.max() < 350_000, "later each time"


def test_all_certificates_are_made_anew_on_one_day() -> None:
    made, scene = good("revoked_certificates")
    assert len(keys(made, scene)) == len(np.unique(made["ip"])) == HOSTS
    assert (made["user"] == ABSENT).all()
    names, orders = len(of(made, "token")), op(made, scene, "newOrder")
    many = each(of(made, "token")["key"])
    assert (many == 60).sum() == 2
    assert np.sort(many)[-3] <= 12
    fetched, refused = of(made, "exported"), told(made, 403)
    gone = len(refused) / 5
    assert len(fetched) + gone == names
    assert gone / names == pytest.approx(1 / 7, abs=0.07)
    assert len(told(orders, 201)) == names + 4 * gone
    assert len(told(orders, 503)) / names == pytest.approx(2 / 6, abs=0.15)
    limited = told(orders, 429)
    assert gone <= len(limited) <= 40 * gone
    asked = op(made, scene, "authorization")
    assert 2 <= len(asked) / names <= 6
    assert np.ptp(of(made, "token")["ts_ms"]) < 1000 * 0.6 * scene.span_s


def test_customers_of_a_hosting_company_share_a_64_with_one_whose_key_is_dead() -> None:
    made, scene = good("shared_prefix")
    client = np.array(scene.world.clients)[made["ip"]]
    assert len(np.unique(client)) == PREFIXES
    assert len(np.unique(made["ip"])) == 16 * PREFIXES
    assert len(keys(made, scene)) == 12 * PREFIXES
    dead = told(made, 401)
    assert len(np.unique(dead["ip"])) == 2 * PREFIXES
    assert share(made[np.isin(made["ip"], np.unique(dead["ip"]))], 401) == 1
    alone = made[~np.isin(made["ip"], np.unique(dead["ip"]))]
    assert share(alone, 200) == 1
    one = dead[dead["ip"] == dead["ip"][0]]
    assert np.median(np.diff(of(one, "api_orders")["ts_ms"])) == pytest.approx(90_000, rel=0.02)
    assert np.ptp(of(one, "api_items")["ts_ms"]) == pytest.approx(1000 * 0.4 * scene.span_s, rel=0.03)
    walks = of(made, "api_item")
    assert len(np.unique(walks["ip"])) == 2 * PREFIXES
    assert most_in_a_minute(walks, "ip") <= 150
    assert len(of(made, "login")) == len(of(made, "account")) > 2 * PREFIXES * 40
    assert (of(made, "article")["key"] == ABSENT).all()


def test_hooks_are_led_on_and_what_they_told_comes_later() -> None:
    made, scene = good("redirected_hooks")
    hooks, got = of(made, "callback"), of(made, "missing")
    assert len(np.unique(made["ip"])) == SENDERS
    led = told(hooks, 301)
    assert share(hooks, 200, 301) == share(got, 301, 405) == 1
    assert np.ptp(led["ts_ms"]) < 1000 * scene.span_s / 4
    within = hooks[(hooks["ts_ms"] > led["ts_ms"].min()) & (hooks["ts_ms"] < led["ts_ms"].max())]
    assert share(within, 301) == 1
    follow = np.unique(got["ip"])
    assert len(follow) == 3
    assert len(got) == np.isin(led["ip"], follow).sum()
    off = [ip for ip in np.unique(led["ip"]).tolist() if (led["ip"] == ip).sum() == 5]
    assert off, "one switches its hook off"
    for ip in off:
        late = hooks[(hooks["ip"] == ip) & (hooks["ts_ms"] > led["ts_ms"].max())]
        assert np.diff(late["ts_ms"]).min() <= 334, "three a second"
