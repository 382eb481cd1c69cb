"""What an evaluation counts, on slices made by hand: the pipeline's own part in it is tried in test_replay_report."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from floodwarden.cli import app
from floodwarden.closed_loop import ClosedLoop, Judged
from floodwarden.effects import Effect, InForce
from floodwarden.errors import CommandError
from floodwarden.evaluation.adaptive import REFUSALS_TO_ROTATE, REFUSALS_TO_SLOW, Adapt, Attackers, adapt_of
from floodwarden.evaluation.bounds import Share
from floodwarden.evaluation.markdown import tables
from floodwarden.evaluation.page import page
from floodwarden.evaluation.peers import PEERS, Flags, peers_of
from floodwarden.evaluation.said import Said, read
from floodwarden.evaluation.summary import summary
from floodwarden.evaluation.text import alarms, show
from floodwarden.evaluation.verdict import Verdict
from floodwarden.evaluation.windows import FEATURES, windows
from floodwarden.formats_trace import Labelled
from floodwarden.simulate import declare
from floodwarden.simulate.config import Attack, SimulationConfig
from floodwarden.simulate.sinks import write
from schemas import codec
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind
from schemas.alert import Alert, Answer, Entity, EntityKind, Severity, Status
from schemas.decision import Decision
from schemas.settings import Settings

T0 = 1_767_571_200_000
ATTACK = "attack/scraper/weak/1"


def slice_of(*rows: tuple[int, str, str], **columns: str | int) -> Labelled:
    """Rows of (milliseconds after T0, address, label)."""
    made = [Decision(ts_ms=T0 + ms, verdict="allow", ip=ip, **columns) for ms, ip, _ in rows]  # type: ignore[arg-type]
    return Labelled(codec.from_rows(made), np.array([label for *_, label in rows], object))


def alert(kind: EntityKind, value: str, ms: int, name: str = "sweep") -> Alert:
    at = {"first_ms": T0, "last_ms": T0 + ms, "crossed_ms": T0 + ms}
    told = {"status": Status.OPEN, "severity": Severity.LOW, "answer": Answer.DENY, "score": 1.0, "summary": ""}
    return Alert(uid=f"{value}{ms}", kind=name, entity=Entity(kind=kind, value=value), **at, **told)


def denial(value: str, ms: int) -> Action:
    at = {"created_ms": T0 + ms, "expires_ms": T0 + ms + 600_000}
    target = Target(kind=TargetKind.IP, value=value)
    return Action(
        uid=value, kind=ActionKind.DENY, status=ActionStatus.ACTIVE, target=target, reason="", owner="auto", **at
    )


def judged(part: Labelled, effects: list[Effect], *told: Alert | Action) -> Judged:
    alerts = [one for one in told if isinstance(one, Alert)]
    return Judged(part, np.array(effects, np.int8), alerts, [one for one in told if isinstance(one, Action)])


def test_bounds_are_clopper_and_pearsons() -> None:
    assert Share(0, 775_265).upper == pytest.approx(3.8642e-6, rel=1e-4)  # 1 - .05 ** (1 / n)
    assert Share(5, 100).lower == pytest.approx(0.016432, rel=1e-4)
    assert Share(5, 100).upper == pytest.approx(0.112835, rel=1e-4)
    assert (Share(7, 7).upper, Share(0, 7).lower, Share(0, 0).upper) == (1.0, 0.0, 1.0)


def test_an_attack_is_found_and_answered_when_one_of_its_addresses_is_and_its_requests_until_then_are_counted() -> None:
    verdict = Verdict()
    first = slice_of((0, "203.0.113.1", ATTACK), (1000, "203.0.113.2", ATTACK), (2000, "198.51.100.1", ""))
    verdict.take(judged(first, [Effect.NONE] * 3, alert(EntityKind.IP, "203.0.113.2", 1500)))
    second = slice_of((10_000, "203.0.113.2", ATTACK), (11_000, "203.0.113.1", ATTACK))
    verdict.take(judged(second, [Effect.DENIED, Effect.NONE], denial("203.0.113.2", 9000)))
    told = summary([verdict.outcome()])
    assert (told["found"], told["answered"], told["false_alerts_per_day"]) == (1, 1, 0)
    assert told["time_to_alert_ms"]["p50"] == 1500
    assert told["time_to_action_ms"]["p50"] == 9000
    assert told["requests_to_alert"]["p50"] == told["requests_to_action"]["p50"] == 2
    assert told["attack_stopped_share"] == 0.25
    assert told["by_family"]["scraper"]["by_strength"]["weak"]["found"] == 1
    assert alarms(told) == ("1", "0", "0", "in 11 s"), "eleven seconds say nothing of a day"
    assert alarms(told | {"days": 2.5, "alerts_per_day": 1234.4}) == ("1,234", "0", "0", "a day")


def test_a_denied_network_stops_who_is_in_it_and_answers_their_attack() -> None:
    rows = slice_of((0, "203.0.113.1", ATTACK), (1, "2001:db8:7:8::1", ATTACK), (2, "198.51.100.1", ""))
    for network, stopped in (("203.0.113.0/24", [1, 0, 0]), ("2001:db8:7::/48", [0, 1, 0])):
        in_force, verdict, action = InForce(), Verdict(), denial(network, 0)
        in_force.apply(action)
        effects = in_force.effects(rows.batch)
        assert (effects == Effect.DENIED).tolist() == [bool(each) for each in stopped]
        verdict.take(judged(rows, effects.tolist(), action))
        assert summary([verdict.outcome()])["answered"] == 1


@pytest.mark.parametrize(
    ("about", "belongs"),
    [
        (alert(EntityKind.IP, "198.51.100.1", 2000), False),
        (alert(EntityKind.IP, "203.0.113.1", 3_000_000), False),  # long after it ended
        (alert(EntityKind.ROUTE, "/items/{id}", 2000), True),
        (alert(EntityKind.ROUTE, "/cart", 2000), False),
        (alert(EntityKind.GLOBAL, "*", 2000), True),
        (alert(EntityKind.NETWORK, "203.0.113.0/24", 2000), True),
        (alert(EntityKind.NETWORK, "198.51.100.0/24", 2000), False),
    ],
)
def test_an_alert_belongs_to_an_attack_it_can_be_about(about: Alert, *, belongs: bool) -> None:
    verdict = Verdict()
    rows = slice_of((0, "203.0.113.1", ATTACK), (1000, "198.51.100.1", ""), route="/items/{id}")
    verdict.take(judged(rows, [Effect.NONE] * 2, about))
    told = summary([verdict.outcome()])
    assert told["found"] == int(belongs)
    assert (told["false_alerts_per_day"] == 0) is belongs


def test_false_alerts_of_one_cause_are_one_incident_and_none_where_the_attack_itself_is_in_it() -> None:
    """A campaign's bystanders are part of its incident; a fault's alerts are one; each odd client is one of his own."""
    verdict = Verdict()
    rows = slice_of((0, "203.0.113.1", ATTACK), (1000, "198.51.100.1", ""), route="/items/{id}")
    part, odd = {"campaign": "/items/{id}"}, [alert(EntityKind.IP, f"198.51.100.{n}", 2000, "odd") for n in (8, 9)]
    true = alert(EntityKind.IP, "203.0.113.1", 2000).model_copy(update=part)
    beside = [alert(EntityKind.IP, f"198.51.100.{n}", 2000).model_copy(update=part) for n in range(5)]
    broken = [alert(EntityKind.IP, f"192.0.2.{n}", 2000).model_copy(update={"route": "/cart"}) for n in range(7)]
    later = [
        one.model_copy(update={"uid": one.uid + "b", "first_ms": T0 + 3_000_000, "last_ms": T0 + 3_000_000})
        for one in broken
    ]
    verdict.take(judged(rows, [Effect.NONE] * 2, true, *beside, *broken, *later, *odd))
    told = verdict.outcome()
    assert (told.false_alerts, told.false_incidents) == ({"sweep": 19, "odd": 2}, {"sweep": 2, "odd": 2})


def test_good_traffic_is_told_by_case_and_population_with_bounds() -> None:
    verdict = Verdict()
    for minute in range(90):
        rows = [(minute * 60_000 + 5, "198.51.100.1", ""), (minute * 60_000 + 9, "198.51.100.2", "benign/ci")]
        effects = [Effect.NONE, Effect.THROTTLED if minute < 3 else Effect.NONE]
        verdict.take(judged(slice_of(*rows), effects))
    told = summary([verdict.outcome()])
    assert told["benign_by_case"]["ci"]["throttled"] == 3
    assert told["benign_by_case"]["ci"]["throttled_bounds_95"] == [Share(3, 90).lower, Share(3, 90).upper]
    assert told["benign_by_case"]["ordinary"]["throttled"] == 0
    newcomer, established = (told["benign_by_population"][name]["decisions"] for name in ("newcomer", "established"))
    assert newcomer + established == 180
    assert established == 2 * (90 - 61)
    assert told["sets"]["tuned"]["benign_throttled"] == 3


def test_what_is_of_first_sight_is_told_apart_its_attacks_and_the_good_it_hit(monkeypatch: pytest.MonkeyPatch) -> None:
    for among, name in ((declare.families, "gift_codes"), (declare.cases, "new_office")):
        monkeypatch.setitem(among, name, replace(among[name], first_sight=True))  # type: ignore[index, type-var, arg-type]
    verdict = Verdict()
    rows = [(1, "203.0.113.1", "attack/gift_codes/weak/1"), (2, "203.0.113.2", ATTACK)]
    rows += [(3, "198.51.100.1", "benign/new_office"), (4, "198.51.100.2", "benign/ci"), (5, "198.51.100.3", "")]
    effects = [Effect.NONE, Effect.NONE, Effect.DENIED, Effect.NONE, Effect.NONE]
    verdict.take(judged(slice_of(*rows), effects, alert(EntityKind.IP, "203.0.113.1", 100)))
    result = summary([verdict.outcome()])
    kept, tuned = result["sets"]["first_sight"], result["sets"]["tuned"]
    assert (kept["incidents"], kept["found"], tuned["incidents"], tuned["found"]) == (1, 1, 1, 0)
    assert (kept["cases"], kept["good"]["denied"], tuned["good"]["denied"]) == (["new_office"], 1, 0)
    assert kept["good"]["denied_bounds_95"] == [Share(1, 1).lower, 1.0]
    shown, out = tables(result), StringIO()
    show(result, Console(file=out, width=160))
    assert "| all: first sight | 1 | 1 (100.0%) |" in shown
    assert "all: first sight" in out.getvalue()
    show(result, Console(file=(narrow := StringIO()), width=72))
    assert "gift_codes" in narrow.getvalue(), "an attack's name is whole in a narrow window"
    assert "all: first sight" in page(result | {"trace": "t"})


def test_what_people_said_of_clients_is_held_to_what_was_found_and_done_and_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    lines = [
        ("203.0.113.1", "true_positive", ""),
        ("203.0.113.2", "false_positive", ""),
        ("203.0.113.3", "false_positive", "guess"),
        ("203.0.113.4", "false_positive", ""),
        ("203.0.113.4", "true_positive", ""),
        ("203.0.113.99", "true_positive", ""),
    ]
    told = [{"subject": f"ip:{ip}", "label": word} | ({"family": name} if name else {}) for ip, word, name in lines]
    file.write_text("\n".join(map(json.dumps, told)) + "\n")
    part = slice_of(*((ms, f"203.0.113.{n}", "") for ms, n in ((0, 1), (1, 2), (2, 2), (3, 3), (4, 4))))
    effects = [Effect.NONE, Effect.DENIED, Effect.NONE, Effect.CHALLENGED, Effect.NONE]
    alerts = [alert(EntityKind.IP, f"203.0.113.{n}", 1) for n in (1, 2, 3)]
    verdict = Verdict(Said(read(file)))
    verdict.take(judged(part, effects, *alerts, denial("203.0.113.2", 1)))
    result = summary([verdict.outcome()])
    harms = {"denied": 0, "challenged": 0, "throttled": 0, "refused": 0}
    true = {"labels": 3, "seen": 2, "found": 1, "answered": 0, "decisions": 2}
    assert result["said"]["true_positives"] == true | harms
    false = {"labels": 2, "seen": 2, "found": 1, "answered": 1, "decisions": 3}
    assert result["said"]["false_positives"] == false | harms | {"denied": 1, "challenged": 1, "refused": 1}
    assert "| false positives | 2 | 2 | 1 | 1 | 3 | 1 | 1 | 0 |" in tables(result | {"traces": 1})
    assert result["benign_decisions"] == 5, "figures of the trace go by its own labels"
    without = Verdict()
    without.take(judged(part, effects))
    assert summary([without.outcome()])["said"] is None


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("nonsense", "labels.jsonl:1: no label"),
        ('{"subject": "alert:17", "label": "true_positive"}', "labels.jsonl:1: no label"),
        ('{"subject": "route:/login", "label": "true_positive"}', "no client; write ip:"),
        ('{"subject": "ip:192.0.2.1", "label": "perhaps"}', "write true_positive or false_positive"),
    ],
)
def test_a_line_that_is_no_label_of_a_client_is_refused_by_its_number(tmp_path: Path, line: str, told: str) -> None:
    file = tmp_path / "labels.jsonl"
    file.write_text(line)
    with pytest.raises(CommandError, match=told):
        read(file)


def test_an_attacker_who_rotates_comes_from_elsewhere_once_refused_and_tries_again() -> None:
    attackers = Attackers(Adapt.ROTATE)
    refused = slice_of(*((n * 1000, "203.0.113.1", ATTACK) for n in range(REFUSALS_TO_ROTATE)))
    attackers.told(judged(refused, [Effect.DENIED] * REFUSALS_TO_ROTATE))
    later = slice_of((10_000, "203.0.113.1", ATTACK), (11_000, "203.0.113.9", ATTACK), (12_000, "198.51.100.1", ""))
    come = attackers.come(later, T0 + 20_000)
    assert come.batch.column("ip").to_pylist() == ["198.19.0.1", "198.19.0.1", "203.0.113.9", "198.51.100.1"]
    assert come.labels.tolist() == [ATTACK, ATTACK, ATTACK, ""]
    assert (np.diff(come.batch.column("ts_ms").to_numpy()) >= 0).all()


def test_an_attacker_who_slows_down_takes_twice_as_long_from_then_on() -> None:
    attackers = Attackers(Adapt.SLOW)
    refused = slice_of(*((n * 10, "203.0.113.1", ATTACK) for n in range(REFUSALS_TO_SLOW)))
    attackers.told(judged(refused, [Effect.DENIED] * REFUSALS_TO_SLOW))
    since = (REFUSALS_TO_SLOW - 1) * 10
    part = slice_of(*((since + n * 1000, "203.0.113.1", ATTACK) for n in range(1, 10)))
    come = attackers.come(part, T0 + 10_000)
    assert (come.batch.column("ts_ms").to_numpy() - T0 - since).tolist() == [2000, 4000, 6000, 8000]
    rest = attackers.come(slice_of((10_000, "198.51.100.1", "")), T0 + 60_000)
    assert len(rest.labels) == 1 + 9 - 4, "nobody is lost, only later"


def test_a_slice_without_attackers_who_were_refused_comes_as_it_is() -> None:
    part = slice_of((0, "203.0.113.1", ATTACK), (1, "198.51.100.1", ""))
    assert Attackers(Adapt.ROTATE | Adapt.SLOW).come(part, T0 + 10_000) is part


def test_what_peers_see_of_a_minute_is_what_counting_gives() -> None:
    rows = [
        Decision(ts_ms=T0 + n, verdict="allow", ip="203.0.113.1", path_hash=n % 4, status=404 if n % 2 else 200)
        for n in range(8)
    ]
    rows += [Decision(ts_ms=T0 + 9, verdict="deny", ip="203.0.113.1", status=403)]
    rows += [Decision(ts_ms=T0 + 9, verdict="allow", ip="203.0.113.1", key_id="k", status=200)]
    part = Labelled(codec.from_rows(rows), np.full(len(rows), "", object))
    address, key = windows([part], ())
    assert (address.who, key.who) == (["203.0.113.1"], ["k"])
    assert (address.requests[0], key.requests[0]) == (8, 1)
    seen = dict(zip(FEATURES, address.features[0].tolist(), strict=True))
    assert seen["client_error_share"] == 0.5
    assert seen["paths"] == pytest.approx(np.log1p(4))


def test_a_peer_denies_who_stands_out_through_the_same_enforcement() -> None:
    part = [(n * 100, "203.0.113.1", ATTACK) for n in range(50)] + [(5500, "198.51.100.1", "")]
    after = [(61_000 + n * 100, "203.0.113.1", ATTACK) for n in range(50)]
    loop = ClosedLoop(
        Flags("rate", lambda window: window.requests.astype(float), {"ip": 20.0, "key": 20.0}, ()),
        Settings(live_floor=1, live_share_max=1.0),
    )
    verdict = Verdict()
    for done in loop.run([slice_of(*part), slice_of(*after)]):
        verdict.take(done)
    told = summary([verdict.outcome()])
    assert (told["found"], told["answered"], told["benign_denied"]) == (1, 1, 0)
    assert told["by_family"]["scraper"]["stopped"] == 50


def test_the_page_and_the_tables_escape_what_an_attacker_could_have_named() -> None:
    verdict = Verdict()
    evil = "attack/<script>x()</script>/\x1b[31mweak/1"
    verdict.take(judged(slice_of((0, "203.0.113.1", evil), (1, "203.0.113.1", "benign/<b>\x1b")), [Effect.NONE] * 2))
    result = summary([verdict.outcome()]) | {"trace": "<i>.arrow", "against": {"<u>": summary([verdict.outcome()])}}
    html = page(result)
    assert "<script" not in html
    assert not any(tag in html for tag in ("<i>.arrow", "<u>", "<b>\\x1b"))
    assert "http" not in html.replace("http-equiv", ""), "nothing is fetched"
    out = StringIO()
    show(result, Console(file=out, width=160))
    assert "\x1b" not in out.getvalue()


@pytest.mark.parametrize(("text", "adapt"), [("", Adapt.NOTHING), ("slow, rotate", Adapt.SLOW | Adapt.ROTATE)])
def test_how_attackers_adapt_is_said_by_words(text: str, adapt: Adapt) -> None:
    assert adapt_of(text) == adapt


def test_who_is_not_there_to_compare_with_is_said() -> None:
    assert peers_of("all") == tuple(PEERS)
    with pytest.raises(CommandError, match="half-space"):
        peers_of("rate,crystal-ball")
    with pytest.raises(CommandError, match="rotate"):
        adapt_of("teleport")


def test_of_a_log_without_labels_only_what_was_done_is_told(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    line = '203.0.113.{} - - [05/Jan/2026:09:{:02}:{:02} +0000] "GET / HTTP/1.1" 200 5 "-" "Mozilla/5.0"\n'
    log.write_text("".join(line.format(n % 50, n // 60, n % 60) for n in range(600)))
    told = CliRunner().invoke(app, ["evaluate", str(log), "--html", str(tmp_path / "report.html")])
    words = " ".join(told.stdout.split())
    assert "None of the 600 decisions has a label" in words
    assert "0 denied (0), 0 challenged, 0 throttled; alerts: 0 in 10 min" in words
    assert "attack/NAME/STRENGTH/INCIDENT" in words
    assert not [word for word in ("incidents found", "good decisions", "bound", "100.0%") if word in told.stdout]
    assert "None of the 600 decisions has a label" in (tmp_path / "report.html").read_text()
    assert "None of the 600" in CliRunner().invoke(app, ["evaluate", str(log), "--markdown"]).stdout
    assert json.loads(CliRunner().invoke(app, ["evaluate", str(log), "--json"]).stdout)["labelled"] is False


def test_a_bound_of_nobody_is_not_told() -> None:
    verdict = Verdict()
    verdict.take(judged(slice_of((0, "203.0.113.1", ATTACK), (1, "203.0.113.2", "")), [Effect.NONE] * 2))
    out = StringIO()
    show(summary([verdict.outcome()]), Console(file=out, width=160))
    assert "all: machine" in out.getvalue()
    assert "(100.0%)" not in out.getvalue().partition("all: machine")[2].partition("\n")[0]


def test_one_command_judges_compares_and_writes_the_page(tmp_path: Path) -> None:
    clean, trace, html, said = (tmp_path / name for name in ("clean.arrow", "trace.arrow", "report.html", "said"))
    said.write_text('{"subject": "key:key-poll-00", "label": "false_positive"}')
    usual = SimulationConfig(seed=4, duration_s=900, requests_per_s=2, clients=200, cases=frozenset({"poller"}))
    write(usual, str(clean))
    attacks = (Attack("hammer", "strong", 300.0),)
    write(SimulationConfig(5, 900, requests_per_s=2, clients=200, attacks=attacks, cases=usual.cases), str(trace))
    options = [
        "--train",
        str(clean),
        "--against",
        "rate,plain-forest",
        "--adapt",
        "rotate",
        "--labels",
        str(said),
        "--html",
        str(html),
        "--json",
    ]
    done = CliRunner().invoke(app, ["evaluate", str(trace), *options])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["found"] == result["incidents"] == 1
    assert set(result["against"]) == {"rate", "plain-forest"}
    assert result["adapt"] == ["rotate"]
    assert "<tr><td>false positives</td><td class='n'>1</td>" in html.read_text(encoding="utf-8")
    assert result["said"]["false_positives"]["found"] == result["said"]["false_positives"]["denied"] == 0
    assert "plain-forest" in html.read_text()
    often = {"FLOODWARDEN_FALSE_ALARMS": "100"}
    again = CliRunner().invoke(app, ["evaluate", str(trace), "--train", str(clean), "--json"], env=often)
    assert json.loads(again.stdout)["model"] != result["model"], "false alarms are what the operator asked for"
    refused = CliRunner().invoke(app, ["evaluate", str(trace), "--against", "rate"])
    assert isinstance(refused.exception, CommandError)
