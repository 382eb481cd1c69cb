"""`floodwarden store`, `keys` and `audit`, as a person meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from typer.testing import CliRunner

from enforcer.errors import CommandError as RefusedError
from enforcer.store import migrations
from enforcer.store.access import Access
from floodwarden import doctor_services
from floodwarden.cli import app
from floodwarden.errors import CommandError, UnreachableError
from schemas import sql
from schemas.settings import Settings

NEWEST = ScriptDirectory(str(Path(migrations.__file__).parent)).get_current_head()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path}/store.db"
    monkeypatch.setenv("FLOODWARDEN_STORE", url)
    return url


def run(*arguments: str) -> Any:
    """What a command prints as JSON, a line each."""
    told = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    return [json.loads(line) for line in told.stdout.splitlines()]


def test_a_key_is_made_shown_once_and_revoked_and_the_audit_has_it(store: str) -> None:
    assert run("store", "upgrade") == [{"before": None, "after": NEWEST}]
    (made,) = run(
        "keys", "create", "ann", "--role", "operator", "--scope", "lists:write", "--for", "30d", "--by", "bob"
    )
    assert Access(sql.engine(store)).by_key(made["key"], made["created_ms"]) is not None
    assert "key" not in run("keys", "list")[0]
    assert run("keys", "revoke", made["id"])[0]["revoked_ms"]
    created, revoked = run("audit", "list")
    assert (created["actor"], created["verb"], revoked["verb"]) == ("cli:bob", "key.created", "key.revoked")
    (verified,) = run("audit", "verify")
    assert (verified["ok"], verified["entries"]) == (True, 2)
    assert run("audit", "verify", "--head", verified["head"][:10])[0]["ok"]


def test_an_audit_that_was_cut_off_is_a_failure_that_says_so(store: str) -> None:
    run("keys", "create", "ann")
    (verified,) = run("audit", "verify")
    run("keys", "create", "bob")
    noted = run("audit", "verify")[0]["head"]
    with sql.engine(store).begin() as at:
        at.execute(sa.text("DROP TRIGGER audit_stays_delete"))
        at.execute(sa.text("DELETE FROM audit WHERE seq > 1"))
    assert run("audit", "verify")[0] == verified, "nothing is wrong with what is left"
    with pytest.raises(CommandError, match="cut off"):
        CliRunner().invoke(app, ["audit", "verify", "--head", noted], catch_exceptions=False)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("keys", "create", "ann", "--role", "king"), "role"),
        (("keys", "create", "ann", "--scope", "everything"), "scopes"),
        (("keys", "create", " "), "name"),
        (("keys", "create", "ann", "--for", "99999d"), "seconds"),
        (("keys", "revoke", "nothing"), "id"),
    ],
)
def test_a_mistake_is_named_with_the_fix(arguments: tuple[str, ...], field: str) -> None:
    run("store", "upgrade")
    with pytest.raises(RefusedError) as error:
        CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert (error.value.field, bool(error.value.fix)) == (field, True)


def test_the_doctor_looks_at_the_store(store: str) -> None:
    settings = Settings(store=SecretStr(store))
    missing = doctor_services.store(settings)
    assert (missing.level, "not there yet" in missing.seen) == ("ok", True)
    with sql.engine(store).connect():
        assert doctor_services.store(settings).fix.startswith("`floodwarden store upgrade`")
    run("store", "upgrade")
    assert f"version {NEWEST}" in doctor_services.store(settings).seen
    away = doctor_services.store(Settings(store=SecretStr("postgresql+psycopg://me:hunter2@127.0.0.1:1/x")))
    assert (away.level, "hunter2" in str(away)) == ("fail", False)


def test_a_store_that_is_away_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOODWARDEN_STORE", "postgresql+psycopg://me:hunter2@127.0.0.1:1/x")
    with pytest.raises(UnreachableError, match="FLOODWARDEN_STORE") as error:
        CliRunner().invoke(app, ["keys", "list"], catch_exceptions=False)
    assert "hunter2" not in str(error.value)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("asked", [("incidents",), ("audit", "verify"), ("keys", "list"), ("actions", "show", "a")])
def test_who_looks_into_a_store_that_is_not_there_is_not_told_that_it_is_empty(
    tmp_path: Path, asked: tuple[str, ...]
) -> None:
    with pytest.raises(CommandError, match=r"store\.db: not there .*FLOODWARDEN_DATA_DIR"):
        run(*asked)
    assert not (tmp_path / "store.db").exists()


@pytest.mark.usefixtures("store")
def test_a_key_that_begins_a_store_says_so_beside_it() -> None:
    first, second = (CliRunner().invoke(app, ["keys", "create", name]) for name in ("ann", "bob"))
    assert "made a new store" in first.stderr
    assert first.stdout.startswith("fwk_")
    assert "made a new store" not in second.stderr


@pytest.mark.usefixtures("store")
def test_a_key_alone_goes_into_a_pipe_and_what_it_is_is_said_beside_it() -> None:
    made = CliRunner().invoke(app, ["keys", "create", "ann", "--role", "operator", "--for", "30d"])
    key = made.stdout.removesuffix("\n")
    assert (key.startswith("fwk_"), key.split()) == (True, [key])
    assert "the key of ann for the HTTP API, as operator, until it is revoked or 20" in made.stderr
    assert "it is shown this once" in made.stderr
    assert "curl -s http://127.0.0.1:8086/api/v1/me -H 'authorization: Bearer KEY'" in made.stderr
    assert f"floodwarden keys revoke {key.split('_')[1]}\n" in made.stderr
    assert key not in made.stderr
    bouncer = CliRunner().invoke(app, ["keys", "create", "fw1", "--role", "bouncer"])
    assert "its api_key, with api_url http://127.0.0.1:8082/" in bouncer.stderr
    told = CliRunner().invoke(app, ["keys", "create", "bob", "--json"])
    assert (json.loads(told.stdout)["name"], told.stderr) == ("bob", "")
