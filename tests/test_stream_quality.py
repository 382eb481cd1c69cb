"""What a model says of how good it is: measured where it was learned, kept in its file, told by the registry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from detectors_traffic import brute_force, site
from typer.testing import CliRunner

from detectors import artifact
from detectors.columns import Flows
from detectors.errors import ArtifactError
from enforcer import model_command
from enforcer.model_command import By
from floodwarden import model_orders
from floodwarden.cli import app
from schemas.settings import Settings
from stream import train
from stream.calibrate import calibrate

HOURS = 9
CALM = site(1, owners=200, span_s=HOURS * 3600, requests=20_000)
ATTACKER = 77_001


def measured(*more: Flows) -> dict[str, float]:
    return dict(train.learn(Flows.concat([CALM, *more]), clean=True, measure=True).metrics)


def test_the_last_quarter_is_judged_by_a_model_of_what_went_before() -> None:
    found = measured()
    assert found["requests"] == 20_000
    assert found["clients.ip"] + found["clients.key"] == 200
    assert 0 < found["marked.guess"] < 0.2
    assert (round(found["held_out.hours"], 2), found["held_out.alarms"], found["held_out.answered"]) == (2.25, 0, 0)


@pytest.mark.parametrize(("at_h", "alarms"), [(8, 1), (3, 0)])
def test_alarms_of_the_part_held_out_count_and_no_others(at_h: int, alarms: int) -> None:
    found = measured(brute_force(at_h * 3600, entity=ATTACKER))
    a_day = 24 / found["held_out.hours"]
    assert found.get("held_out.alarms.guess", 0.0) == pytest.approx(alarms * a_day)
    assert found["held_out.answered"] >= alarms * a_day


def test_of_traffic_too_short_to_hold_any_of_it_out_only_what_it_was_is_said() -> None:
    found = train.learn(site(2, span_s=9_000), measure=True).metrics
    assert found["requests"] > 0
    assert not [name for name in found if name.startswith("held_out")]


def test_measuring_changes_nothing_of_what_is_learned() -> None:
    plain, measured_too = (train.learn(CALM, clean=True, measure=measure) for measure in (False, True))
    assert replace(measured_too, metrics={}).version == plain.version != measured_too.version


def test_metrics_are_in_the_file_and_one_without_has_none(tmp_path: Path) -> None:
    model = replace(artifact.defaults(), metrics={"requests": 9.0, "held_out.alarms": 0.5})
    artifact.save(model, tmp_path / "m.npz")
    again = artifact.load(tmp_path / "m.npz")
    assert (again.metrics, again.version) == (model.metrics, model.version)
    artifact.save(replace(model, metrics={}), tmp_path / "without.npz")
    assert artifact.load(tmp_path / "without.npz").metrics == {}


def test_the_shipped_model_says_how_good_it_was_found() -> None:
    metrics = artifact.load().metrics
    assert metrics["requests"] > 900_000
    assert metrics["held_out.answered"] == 0.0, "of a day on which nobody attacks"


def test_damaged_metrics_are_refused(tmp_path: Path) -> None:
    artifact.save(replace(artifact.defaults(), metrics={"requests": float("nan")}), tmp_path / "m.npz")
    with pytest.raises(ArtifactError, match="metrics are damaged"):
        artifact.load(tmp_path / "m.npz")


def test_thresholds_set_anew_tell_of_the_span_they_are_from() -> None:
    done = calibrate(replace(artifact.defaults(), metrics={"held_out.alarms": 3.0}), CALM)
    assert done.model.metrics["requests"] == 20_000
    assert "held_out.alarms" not in done.model.metrics


def test_the_registry_and_the_command_tell_them(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    metrics = {
        "requests": 9_000.0, "clients.ip": 70.0, "marked.guess": 0.012, "held_out.hours": 6.0, "held_out.alarms": 4.0,
        "held_out.answered": 1.0, "held_out.alarms.odd": 3.0, "held_out.alarms.guess": 1.0,
        "held_out.odd_share": 0.011,
    }  # fmt: skip
    artifact.save(replace(artifact.defaults(), metrics=metrics), tmp_path / "m.npz")
    model_orders.register(settings, tmp_path / "m.npz", By("ana"))
    assert model_command.shown(settings, 1, model_orders.judge)["metrics"] == metrics
    said = CliRunner().invoke(app, ["model", "show", "1"], env={"FLOODWARDEN_DATA_DIR": str(tmp_path)}).stdout
    assert "from 9,000 requests of 70 addresses, 0 keys, 0 users" in said
    assert "on its last 6.0 h, under a model of what went before: 4.0 alarms a day, 1.0 of them answered; odd" in said
    assert "minutes of these hours as odd as one in a hundred: 1.1 %" in said
    assert [line.split()[-2:] for line in said.splitlines() if line.startswith("guess")] == [["1.2", "%"]]
