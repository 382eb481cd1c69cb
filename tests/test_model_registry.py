"""Versions of models: registered once, promoted when tried, taken back, refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from enforcer_world import now_ms
from typer.testing import CliRunner, Result

from detectors import artifact
from enforcer import model_command
from enforcer.errors import CommandError
from enforcer.model_command import By
from floodwarden import model_orders
from floodwarden.cli import app
from schemas.errors import FileError
from schemas.model_registry import Registry
from schemas.models import Agreement, Counts, Incident, Order, Trial
from schemas.settings import Settings
from stream.model_watch import SAY_EVERY_MS, ModelWatch
from stream.models import configured

ME = By("ana", "quieter")
MODEL = artifact.defaults()


def settings_of(path: Path) -> Settings:
    return Settings(data_dir=path)


def registered(settings: Settings, *factors: float) -> Registry:
    """A version for each factor, whose thresholds are so many times the stated ones."""
    for factor in factors:
        path = settings.data_dir / f"{factor}.npz"
        artifact.save(replace(MODEL, h=MODEL.h * factor, span_s=7_200), path)
        model_orders.register(settings, path, ME)
    return Registry(settings.registry)


def agreement(until_ms: int = 2_000, live: str = "aa", *, only_shadow: int = 1) -> Agreement:
    one = Incident("ip", "192.0.2.1", "guess", 0, until_ms, until_ms, "deny", "9 failed logins")
    return Agreement(live, "bb", 1_000, until_ms, {"guess": Counts(2, 0, only_shadow)}, [], [one])


def tried(registry: Registry, version: int) -> None:
    registry.tried(Trial(version, "aa", "day.log", 100, agreement(), "ana", 1))


def test_a_model_is_registered_once_and_numbered_in_order(tmp_path: Path) -> None:
    registry = registered(settings_of(tmp_path), 1.0, 2.0, 1.0)
    assert [one.version for one in registry.versions()] == [2, 1]
    assert registry.version(1).content == artifact.parse(registry.data(1), "1", MODEL.families).version
    assert registry.version(2).reason == "quieter"


def test_a_version_that_was_never_tried_is_promoted_only_by_force_and_that_is_kept(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    registry = registered(settings, 1.0, 2.0)
    with pytest.raises(CommandError, match="floodwarden model try 1"):
        model_command.promote(settings, 1, ME, model_orders.judge)
    assert registry.order().serial == 0
    tried(registry, 1)
    assert not model_command.promote(settings, 1, ME, model_orders.judge).forced
    assert model_command.promote(settings, 2, ME, model_orders.judge, force=True).forced
    assert configured(settings).h == pytest.approx(MODEL.h * 2.0)


def test_rolling_back_goes_one_version_further_each_time_and_at_last_to_the_settings_model(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    registered(settings, 1.0, 2.0, 3.0)
    for number in (1, 2, 3):
        model_command.promote(settings, number, ME, model_orders.judge, force=True)
    assert [model_command.rollback(settings, None, ME, model_orders.judge).live for _ in range(3)] == [2, 1, 0]
    with pytest.raises(CommandError, match="no version to go back to"):
        model_command.rollback(settings, None, ME, model_orders.judge)
    with pytest.raises(CommandError, match="version 3 was not live before"):
        model_command.rollback(settings, 3, ME, model_orders.judge)
    assert configured(settings).version == artifact.load().version


def test_a_promoted_shadow_is_a_shadow_no_more_and_a_live_version_never_one(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    registered(settings, 1.0, 2.0)
    model_command.shadow(settings, 1, ME, model_orders.judge)
    assert model_command.promote(settings, 1, ME, model_orders.judge, force=True).shadow == 0
    with pytest.raises(CommandError, match="version 1 is live"):
        model_command.shadow(settings, 1, ME, model_orders.judge)
    model_command.shadow(settings, 2, ME, model_orders.judge)
    assert model_command.shadow(settings, 0, ME, model_orders.judge).shadow == 0


def test_of_two_who_order_at_once_the_second_is_told_so(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    registry.put(Order(1, 1, 0, "ana", "", 1))
    with pytest.raises(FileError, match="somebody else was first"):
        registry.put(Order(1, 2, 0, "ben", "", 2))
    assert registry.order().author == "ana"
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_model_for_other_features_is_refused_by_name_before_anything_is_ordered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path)
    with monkeypatch.context() as older:
        older.setattr(artifact, "FORMAT", artifact.FORMAT - 1)
        registry = registered(settings, 1.0)
    for order in (model_command.promote, model_command.shadow):
        with pytest.raises(CommandError, match=r"version 1: made for 'floodwarden-model/\d.*train it anew"):
            order(settings, 1, ME, model_orders.judge)
    with pytest.raises(CommandError, match="train it anew"):
        model_orders.register(settings, registry.path / "files" / f"{registry.version(1).digest}.npz", ME)
    assert registry.order().serial == 0


def test_a_file_that_changed_under_its_digest_is_not_taken(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    registry = registered(settings, 1.0)
    (registry.path / "files" / f"{registry.version(1).digest}.npz").write_bytes(b"PK")
    with pytest.raises(CommandError, match="is not what was registered"):
        model_command.promote(settings, 1, ME, model_orders.judge, force=True)


def test_a_worker_takes_what_is_ordered_and_says_so(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    watch = ModelWatch(settings, "w:1/x")
    assert watch.start(0).versions == (0, 0)
    registry = registered(settings, 1.0, 2.0)
    assert watch.look(1) is None
    model_command.promote(settings, 1, ME, model_orders.judge, force=True)
    model_command.shadow(settings, 2, ME, model_orders.judge)
    taken = watch.look(5)
    assert taken is not None
    assert taken.versions == (1, 2)
    assert taken.shadow is not None
    watch.say(6, {0: agreement(), 3: agreement(9_000, only_shadow=4)})
    [word] = registry.words()
    assert (word.node, word.live, word.shadow, word.serial, word.since_ms) == ("w:1/x", 1, 2, 2, 5)
    told = registry.agreement(2)
    assert told is not None
    assert (told.total, told.until_ms, len(told.only_shadow)) == (Counts(4, 0, 5), 9_000, 2)
    watch.say(7, {0: agreement(50_000, live="cc")})
    assert registry.agreement(2) == told, "not due yet"
    watch.say(6 + SAY_EVERY_MS, {0: agreement(50_000, live="cc")})
    later = registry.agreement(2)
    assert later is not None
    assert later.total == Counts(2, 0, 1), "what was counted beside another live model is another matter"


def test_a_worker_that_cannot_use_what_is_ordered_goes_on_says_why_and_takes_it_when_it_can(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    registry = registered(settings, 1.0)
    model_command.promote(settings, 1, ME, model_orders.judge, force=True)
    path = registry.path / "files" / f"{registry.version(1).digest}.npz"
    data = path.read_bytes()
    path.unlink()
    watch = ModelWatch(settings, "w")
    assert watch.start(0).live.version == artifact.load().version, "somebody has to watch meanwhile"
    watch.say(1, {})
    assert "check FLOODWARDEN_MODELS" in registry.words()[0].refused
    path.write_bytes(data)
    assert watch.look(2) is None, "not every second anew"
    taken = watch.look(1 + SAY_EVERY_MS)
    assert taken is not None
    assert taken.versions == (1, 0)
    watch.say(2 + SAY_EVERY_MS, {})
    assert not registry.words()[0].refused


def test_an_order_that_no_worker_took_is_told_and_fails(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    registered(settings, 1.0)
    environment = {"FLOODWARDEN_DATA_DIR": str(tmp_path)}

    def promote(wait: str) -> Result:
        return CliRunner().invoke(app, ["model", "promote", "1", "--force", "--wait", wait], env=environment)

    told = promote("1s")
    assert (told.exit_code, "no stream worker has said anything here for 30 s" in told.output) == (1, True), told.output
    watch = ModelWatch(settings, "w")
    watch.start(now_ms())
    watch.say(now_ms(), {})
    assert promote("30s").exit_code == 0
