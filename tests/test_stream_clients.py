"""An IPv6 client is his /64: he is judged, counted, told of and answered as one, whatever address he takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stream_traffic import NOW_MS, blocks, row

from detectors.artifact import Model, load
from enforcer.plan import PlanConfig, Planner
from floodwarden.effects import Effect, InForce
from schemas import codec
from schemas.action import ActionKind, ActionStatus
from schemas.alert import Alert, Status
from schemas.decision import Decision
from schemas.networks import client
from schemas.settings import Settings
from schemas.usage import Kind
from stream.inside import Inside
from stream.pipeline import Config, Pipeline
from stream.profile import profile

HIS = "2001:db8:1:2"


@pytest.fixture(scope="module")
def model() -> Model:
    return load()


def guess(number: int, ip: str, **more: object) -> Decision:
    given = {"user": f"user{number}", "method": "POST", "route": "/login", "path": "/login", "status": 401}
    return row(100 * number, ip=ip, **(given | more))


def rotating(count: int = 40) -> list[Decision]:
    return [guess(number, f"{HIS}:{number:x}::{number:x}") for number in range(1, count + 1)]


def told(model: Model, rows: list[Decision]) -> tuple[list[Alert], Pipeline]:
    pipeline = Pipeline(model, Config(source_partitions=1))
    alerts = pipeline.step(blocks(rows), NOW_MS)
    return [a for a in alerts if a.status is Status.OPEN], pipeline


@pytest.mark.parametrize(
    ("address", "whose"),
    [
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::/64", "2001:db8:1:2::/64"),
        ("2001::1:2:3:4", "2001::1:2:3:4"),  # Teredo: thousands in one
        ("64:ff9b::192.0.2.1", "64:ff9b::192.0.2.1"),  # all of IPv4 in one
        ("fd00:1:2:3::4", "fd00:1:2:3::4"),  # machines of one's own
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("::1", "::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("no address", "no address"),
    ],
)
def test_whose_an_address_is(address: str, whose: str) -> None:
    assert client(address) == whose


def test_who_guesses_from_a_new_address_each_time_is_found_as_his_64_and_the_alert_names_addresses(
    model: Model,
) -> None:
    alerts, pipeline = told(model, rotating())
    (guessed,) = (a for a in alerts if a.kind == "guess" and a.entity.kind == "ip")
    assert (guessed.entity.value, guessed.answer) == (f"{HIS}::/64", "deny")
    assert guessed.addresses == 40
    sentence = guessed.evidence[1].sentence
    assert sentence == (
        f"seen at 40 addresses of {HIS}::/64 in the last hour, such as {HIS}:28::28, {HIS}:27::27, {HIS}:26::26"
    )
    again = Pipeline.restore(model, Config(source_partitions=1), pipeline.snapshot())
    asked = profile(again.windows, Kind.IP, f"{HIS}::77", 3600)
    assert (asked.usage.measures[0], asked.distinct["address"]) == (40, 40)
    assert asked == profile(again.windows, Kind.IP, f"{HIS}::/64", 3600)


def test_one_address_of_ipv6_is_found_as_soon_as_one_of_ipv4(model: Model) -> None:
    crossed = []
    for ip in ("192.0.2.7", f"{HIS}::7"):
        alerts, _ = told(model, [guess(number, ip) for number in range(1, 41)])
        crossed.append(next(a.crossed_ms for a in alerts if a.kind == "guess"))
    assert crossed[0] == crossed[1]


def test_neighbours_in_another_64_are_other_clients(model: Model) -> None:
    rows = [guess(number, f"2001:db8:1:{number:x}::1") for number in range(1, 41)]
    assert [a for a in told(model, rows)[0] if a.entity.kind == "ip"] == []


def test_flows_of_an_ipv6_client_say_at_which_of_its_addresses_it_was() -> None:
    [block] = blocks([row(ip=f"{HIS}::7"), row(ip="192.0.2.9"), row(ip=f"{HIS}::8", key_id="k")])
    flows = {(each["kind"], each["entity"]): each["host"] for each in block.flows.to_pylist()}
    assert flows == {(Kind.IP, f"{HIS}::/64"): 7, (Kind.IP, "192.0.2.9"): 0, (Kind.KEY, "k"): 8}


def test_the_newest_addresses_of_a_client_are_kept_each_once_also_after_a_restart() -> None:
    inside = Inside()
    for numbers in ([1, 2], [2], [3, 4, 5], [4]):
        [block] = blocks([row(n, ip=f"{HIS}::{n:x}", path=f"/{n}") for n in numbers])
        inside.add(block.flows)
    again = Inside()
    again.restore(inside.arrays())
    for one in (inside, again):
        assert one.addresses(f"{HIS}::/64") == (f"{HIS}::5", f"{HIS}::4", f"{HIS}::3")
        assert one.addresses("2001:db8:9:9::/64") == one.addresses("192.0.2.1") == ()


def test_a_client_who_comes_to_the_place_of_another_is_not_told_of_with_his_addresses() -> None:
    inside = Inside(places=1)
    for network in (HIS, "2001:db8:9:9"):
        [block] = blocks([row(ip=f"{network}::7")])
        inside.add(block.flows)
    assert inside.addresses(f"{HIS}::/64") == ()
    assert inside.addresses("2001:db8:9:9::/64") == ("2001:db8:9:9::7",)


def test_accounts_that_a_limit_refused_do_not_make_a_guessers_address_a_shared_one(model: Model) -> None:
    limited = [guess(n, "192.0.2.7", user=f"other{n}", verdict="limit", status=429) for n in range(1, 41)]
    alerts, _ = told(model, [*(guess(n, "192.0.2.7") for n in range(1, 41)), *limited])
    (guessed,) = (a for a in alerts if a.kind == "guess" and a.entity.kind == "ip")
    assert guessed.accounts == 0
    done = Planner(PlanConfig.of(Settings())).consider(guessed, NOW_MS + 5000)
    assert done is not None
    assert (done.kind, done.guard) == (ActionKind.DENY, None)


@pytest.mark.parametrize(
    ("setting", "accounts", "kind", "status", "guard"),
    [
        ({}, 0, "deny", "active", None),
        ({"allowlist": f"{HIS}::5"}, 0, "deny", "refused", "allowlisted"),
        ({"trusted_proxies": f"{HIS}::5"}, 0, "deny", "refused", "own_proxy"),
        ({}, 10, "challenge", "active", "shared_exit"),
    ],
)
def test_a_64_is_answered_as_an_address_is_and_left_alone_where_one_in_it_is(
    model: Model, setting: dict[str, str], accounts: int, kind: str, status: str, guard: str | None
) -> None:
    alert = next(a for a in told(model, rotating())[0] if a.kind == "guess" and a.entity.kind == "ip")
    planner = Planner(PlanConfig.of(Settings(usage_partitions=1, **setting)))  # type: ignore[arg-type]
    action = planner.consider(alert.model_copy(update={"accounts": accounts}), alert.crossed_ms)
    assert action is not None
    assert (action.kind, action.status, action.guard) == (ActionKind(kind), ActionStatus(status), guard)
    assert (action.target.kind, action.target.value) == ("ip", f"{HIS}::/64")


@pytest.mark.parametrize(("known", "status"), [(f"{HIS}::5", "refused"), ("2001:db8:1:3::5", "active")])
def test_a_64_is_left_alone_where_a_crawler_has_an_address_in_it(
    model: Model, tmp_path: Path, known: str, status: str
) -> None:
    (tmp_path / "examplebot.txt").write_text(f"2001:db8:1:1::1\n{known}\n", "utf-8")
    alert = next(a for a in told(model, rotating())[0] if a.kind == "guess" and a.entity.kind == "ip")
    action = Planner(PlanConfig.of(Settings(usage_partitions=1, bots=tmp_path))).consider(alert, alert.crossed_ms)
    assert action is not None
    assert (action.status, action.guard) == (status, "verified_bot" if status == "refused" else None)


def test_an_answer_on_a_64_befalls_all_its_addresses_together_and_no_neighbour(model: Model) -> None:
    alert = next(a for a in told(model, rotating())[0] if a.kind == "guess" and a.entity.kind == "ip")
    denial = Planner(PlanConfig.of(Settings(usage_partitions=1))).consider(alert, NOW_MS)
    assert denial is not None
    rows = [guess(n, f"{HIS}::{n:x}") for n in range(1, 31)] + [guess(31, "2001:db8:1:3::1"), guess(32, f"{HIS}::1")]
    batch, in_force = codec.from_rows(rows), InForce()
    in_force.apply(denial)
    assert in_force.effects(batch).tolist() == [Effect.DENIED] * 30 + [Effect.NONE, Effect.DENIED]
    in_force.apply(denial.model_copy(update={"kind": ActionKind.THROTTLE, "factor": 10 / 120}))
    assert np.count_nonzero(in_force.effects(batch)) == 31 - 10, "a limit counts all of the /64 together"
    single = denial.model_copy(update={"target": denial.target.model_copy(update={"value": f"{HIS}::1"})})
    alone = InForce()
    alone.apply(single)
    assert np.flatnonzero(alone.effects(batch)).tolist() == [0, 31]


def test_closed_alerts_about_a_64_are_the_same_bytes_however_its_addresses_came_in_batches(model: Model) -> None:
    rows = rotating()
    closed = []
    for size in (len(rows), 7, 1):
        pipeline, alerts = Pipeline(model, Config(source_partitions=1)), []
        for number, at in enumerate(range(0, len(rows), size)):
            alerts += pipeline.step(blocks(rows[at : at + size], start=number), NOW_MS)
        closed.append([a.model_dump_json() for a in alerts + pipeline.finish() if a.status is Status.CLOSED])
    assert closed[0] == closed[1] == closed[2] != []


def test_more_addresses_than_are_counted_one_by_one_are_estimated(model: Model) -> None:
    rows = [row(number, ip=f"{HIS}:{number:x}::1", path=f"/{number}") for number in range(400)]
    pipeline = Pipeline(model, Config(source_partitions=1))
    pipeline.step(blocks(rows), NOW_MS)
    assert 300 <= profile(pipeline.windows, Kind.IP, f"{HIS}::/64", 60).distinct["address"] <= 500
