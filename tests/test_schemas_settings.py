from __future__ import annotations

import pytest
from pydantic import ValidationError

from schemas import topics
from schemas.alert import Alert
from schemas.errors import SettingsError
from schemas.keys import Keys
from schemas.routes import is_login
from schemas.settings import load
from schemas.targets import parse_targets


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOODWARDEN_KAFKA", "192.0.2.5:9092")
    monkeypatch.setenv("FLOODWARDEN_TOPIC_PREFIX", "x.")
    settings = load(port=8080)
    assert (settings.kafka, settings.port, settings.topic(topics.DECISIONS)) == ("192.0.2.5:9092", 8080, "x.decisions")


def test_an_unknown_setting_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOODWARDEN_KAFKKA", "x")
    with pytest.raises(SettingsError, match=r"FLOODWARDEN_KAFKKA is not a setting; did you mean FLOODWARDEN_KAFKA\?"):
        load()


def test_an_unknown_setting_that_is_like_none_says_where_the_list_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOODWARDEN_XYZZY", "x")
    with pytest.raises(SettingsError, match="XYZZY is not a setting; `floodwarden settings` lists them all"):
        load()


@pytest.mark.parametrize("entry", ["planet:mars", "192.0.2.300", "ip:192.0.2.0/33", "key:"])
def test_a_malformed_entry_of_the_allowlist_is_named(entry: str) -> None:
    with pytest.raises(SettingsError, match=f"FLOODWARDEN_ALLOWLIST: .*{entry.removeprefix('ip:')}"):
        load(allowlist=f"192.0.2.1, {entry}")


def test_targets_have_one_spelling_however_they_are_written() -> None:
    text = "192.0.2.9/24, ip:192.0.2.7, 2001:DB8::1, ip:2001:db8:0::/32, key:k:1, user:ann,"
    spelled = ["ip:192.0.2.0/24", "ip:192.0.2.7", "ip:2001:db8::1", "ip:2001:db8::/32", "key:k:1", "user:ann"]
    assert [target.key for target in parse_targets(text, "X")] == spelled


def test_a_malformed_setting_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOODWARDEN_LATENESS_MS", "soon")
    with pytest.raises(SettingsError, match=r"FLOODWARDEN_LATENESS_MS: .*integer.* \(got 'soon'\)"):
        load()


def test_the_secret_never_shows() -> None:
    assert "hunter2" not in repr(load(secret="hunter2"))


def test_no_redis_key_outgrows_its_bound_whatever_the_value() -> None:
    keys = Keys("fw:")
    assert keys.target("ip", "192.0.2.1") == "fw:{e}:target:ip:192.0.2.1"
    for value in ("x" * 10_000, "ü" * 100, "a b\n{}", "\udcff"):
        key = keys.target("user", value)
        assert len(key) < 160
        assert key.isascii()
        assert key.count("{") == 1
    assert len(keys.limiter("rule", "x" * 10_000)) == len(keys.limiter("rule", "y"))


def test_everything_one_script_touches_shares_a_slot() -> None:
    keys = Keys("fw:")
    for key in (keys.feed, keys.enforcement, keys.acks, keys.nodes, keys.target("ip", "192.0.2.1")):
        assert key.startswith("fw:{e}:")


@pytest.mark.parametrize(
    ("route", "method", "login"),
    [
        ("/login", "POST", True),
        ("/api/Login", "POST", True),
        ("/login", "GET", False),
        ("/items", "POST", False),
        (None, "POST", False),
    ],
)
def test_a_credential_is_presented_by_posting_to_a_login_route(route: str | None, method: str, *, login: bool) -> None:
    assert is_login(route, method, ("*login*",)) is login


def test_a_login_route_names_the_statuses_of_a_failure_or_says_what_is_wrong() -> None:
    assert load(login_routes="*wp-login*=200|403,*login*").login_globs == ("*wp-login*=200|403", "*login*")
    with pytest.raises(SettingsError, match=r"\*login\*=never' does not name statuses; write"):
        load(login_routes="*wp-login*=200,*login*=never")


def test_an_alert_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="colour"):
        Alert.model_validate_json('{"colour": "red"}')
