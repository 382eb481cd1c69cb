"""Commands about the enforcer's store: its tables, the keys of its API, the audit."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer

from floodwarden.cli_output import Json, console, listing, safe, write_json
from floodwarden.cli_told import By, seconds_of, who
from floodwarden.errors import CommandError, UnreachableError
from schemas import settings as settings_of

if TYPE_CHECKING:
    import sqlalchemy as sa

    from enforcer.store.access import Key
    from enforcer.store.audit import Head
    from schemas.settings import Settings

KEPT: Final = "What is kept"

store = typer.Typer(no_args_is_help=True, help="The enforcer's SQL store: alerts, actions, labels, keys, audit.")
keys = typer.Typer(no_args_is_help=True, help="Keys of people and programs, kept as hashes.")
audit = typer.Typer(no_args_is_help=True, help="Who did what, in a chain that shows any change.")


def register(app: typer.Typer) -> None:
    """Put the commands of this module on the command line."""
    app.add_typer(keys, name="keys", rich_help_panel=KEPT)
    app.add_typer(audit, name="audit", rich_help_panel=KEPT)
    app.add_typer(store, name="store", rich_help_panel=KEPT)


@store.command("upgrade")
def upgrade(*, as_json: Json = False) -> None:
    """Make the tables of FLOODWARDEN_STORE, or bring them up to date. The enforcer does so when it starts."""
    with _opened(making=True) as (_, before, after):
        if as_json:
            write_json({"before": before, "after": after})
        else:
            console().print(
                f"tables: {before or 'none'} -> {after}" if before != after else f"tables: {after}, as before"
            )


@keys.command("create")
def create(
    name: Annotated[str, typer.Argument(help="whose it is, as the audit will say")],
    *,
    role: Annotated[str, typer.Option(help="viewer, analyst, operator or admin; or bouncer")] = "viewer",
    scope: Annotated[list[str] | None, typer.Option(help="only this of what the role may; again for more")] = None,
    tenant: Annotated[str | None, typer.Option(help="only what is aimed at this tenant")] = None,
    duration: Annotated[str, typer.Option("--for", metavar="DURATION", help="30d; left out: until revoked")] = "",
    by: By = "",
    as_json: Json = False,
) -> None:
    """Make a key, and show it: it cannot be shown again. For the API; with `--role bouncer` for a CrowdSec bouncer."""
    from enforcer import callers
    from enforcer.store import database
    from enforcer.store.access import Access

    given, only = callers.role(role), callers.scopes(scope or ())
    with _opened(making=True) as (engine, before, _):
        made, text = Access(engine).create_key(
            name, given, f"cli:{who(by)}", _now_ms(), only=only, tenant=tenant,
            seconds=seconds_of(duration) if duration else None,
        )  # fmt: skip
    if before is None:
        where = database.shown(settings_of.load())
        sys.stderr.write(f"floodwarden: made a new store, {where}: the key is for an enforcer that has the same\n")
    if as_json:
        write_json(asdict(made) | {"key": text})
        return
    console().print(text, soft_wrap=True)
    sys.stderr.write(_about(made, settings_of.load()))


def _about(key: Key, settings: Settings) -> str:
    """What was just made and what to do with it, for whoever made it: beside the key, which may go into a pipe."""
    ports = settings_of.PORTS
    until = _until(key.expires_ms, key.revoked_ms, key.created_ms)
    if key.role == "bouncer":
        use = f"its api_key, with api_url http://127.0.0.1:{ports['enforcer']}/ (docs/bouncers.md)"
        what = "a CrowdSec bouncer"
    else:
        api = f"http://127.0.0.1:{settings.api_port or ports['api']}/api/v1"
        use = f"curl -s {api}/me -H 'authorization: Bearer KEY' (docs/api.md)"
        what = "the HTTP API"
    return (
        f"the key of {safe(key.name)} for {what}, as {key.role}, until it is revoked"
        f"{'' if until == 'no end' else f' or {until}'}\n"
        f"it is shown this once: keep it; the store has only its hash\n"
        f"use it:    {use}\n"
        f"revoke it: floodwarden keys revoke {key.id}\n"
    )


@keys.command("list")
def list_keys(*, as_json: Json = False) -> None:
    """Every key there ever was, without itself; of a bouncer's, which one asked with it last, and when."""
    from enforcer import callers
    from enforcer.store.access import Access

    with _opened() as (engine, _, _):
        found = Access(engine).list_keys()
    now_ms = _now_ms()
    columns = {
        "id": [key.id for key in found],
        "name": [key.name for key in found],
        "role": [key.role for key in found],
        "only": [" ".join(key.scopes) for key in found],
        "tenant": [key.tenant or "" for key in found],
        "until": [_until(key.expires_ms, key.revoked_ms, now_ms) for key in found],
        "made by": [key.created_by for key in found],
    }
    if any(key.role == callers.Role.BOUNCER for key in found):
        columns["bouncer"] = [_bouncer(key) for key in found]
        columns["last pull"] = ["" if key.pulled_ms is None else _ago(now_ms - key.pulled_ms) for key in found]
    listing(as_json, [asdict(key) for key in found], columns, "no keys; make one with `keys create NAME --role admin`")


@keys.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(help="`keys list` shows it")], *, by: By = "", as_json: Json = False
) -> None:
    """End a key, at once and for good."""
    from enforcer.store.access import Access

    with _opened() as (engine, _, _):
        gone = Access(engine).revoke_key(key_id, f"cli:{who(by)}", _now_ms())
    write_json(asdict(gone)) if as_json else console().print(f"{gone.id} ({safe(gone.name)}) holds no more")


@audit.command("list")
def list_audit(
    *,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="the newest so many")] = 50,
    as_json: Json = False,
) -> None:
    """The newest entries, the oldest of them first."""
    from enforcer.store import reading

    with _opened() as (engine, _, _):
        found = reading.audit_tail(engine, limit)
    columns = {
        "entry": [str(row["seq"]) for row in found],
        "when": [time.strftime("%m-%d %H:%M:%S", time.localtime(row["at_ms"] / 1000)) for row in found],
        "who": [row["actor"] for row in found],
        "did": [row["verb"] for row in found],
        "to": [row["subject"] for row in found],
        "more": [_told(row["detail"]) for row in found],
    }
    listing(as_json, found, columns, "the audit is empty")


@audit.command("verify")
def verify(
    *,
    head: Annotated[str, typer.Option(metavar="ENTRY:HASH", help="a head noted before: is it still in there?")] = "",
    as_json: Json = False,
) -> None:
    """Go through the whole chain: was an entry changed, left out, put in or cut off? Exit code 1 if so."""
    from enforcer.store import audit as chain

    noted = _head(head) if head else None
    with _opened() as (engine, _, _):
        found = chain.verify(engine, noted)
    if as_json:
        write_json({"ok": not found.broken, "entries": found.entries, "head": str(found.head), "broken": found.broken})
    elif not found.broken:
        console().print(f"ok: {found.entries} entries, head {found.head}")
    if found.broken and not as_json:
        raise CommandError(f"audit: {found.broken}; {found.entries} entries before it hold. Look at a backup")
    raise typer.Exit(int(bool(found.broken)))


@contextmanager
def opened(*, making: bool = False) -> Iterator[sa.Engine]:
    """The store, its tables up to date.

    Raises:
        CommandError: there is none, and it is not `making` one.
        UnreachableError: its database does not answer.
    """
    with _opened(making=making) as (engine, _, _):
        yield engine


@contextmanager
def _opened(*, making: bool = False) -> Iterator[tuple[sa.Engine, str | None, str]]:
    """The store, its tables up to date, with the versions of these before and after."""
    from sqlalchemy.exc import DBAPIError

    from enforcer.store import database
    from schemas import sql

    settings = settings_of.load()
    engine = database.open_engine(settings)
    if not making and database.is_missing(engine):  # an empty one would answer that nothing ever happened
        prefix = settings_of.PREFIX
        fix = f"an enforcer makes it; set {prefix}DATA_DIR or {prefix}STORE as yours has it"
        raise CommandError(f"store at {database.shown(settings)}: not there ({fix})")
    try:
        before, after = database.upgrade(engine)
        yield engine, before, after
    except DBAPIError as error:
        where, why = database.shown(settings), sql.reason(error)
        raise UnreachableError(f"store at {where}: {why}; start it, or set {settings_of.PREFIX}STORE") from error
    finally:
        engine.dispose()


def _head(text: str) -> Head:
    from enforcer.store.audit import parse

    match = re.fullmatch(r"(\d{1,15}):([0-9a-f]{4,64})", text.strip().rstrip("."))
    if match is None:
        raise typer.BadParameter(f"{text!r}: ENTRY:HASH as `audit verify` prints it, or its first characters")
    return parse(match[0])


def _until(expires_ms: int | None, revoked_ms: int | None, now_ms: int) -> str:
    if revoked_ms is not None:
        return "revoked"
    if expires_ms is None:
        return "no end"
    return "over" if expires_ms <= now_ms else time.strftime("%Y-%m-%d", time.localtime(expires_ms / 1000))


def _bouncer(key: Key) -> str:
    """What a bouncer calls itself, and where it is: `crowdsec-firewall-bouncer v0.0.31, 10.0.0.5`."""
    name, _, version = (key.pulled_agent or "").partition("/")
    return ", ".join(part for part in (f"{name} {version}".strip(), key.pulled_from or "") if part)


def _ago(ms: int) -> str:
    s = max(0, ms) // 1000
    return f"{s} s ago" if s < 120 else f"{s // 60} m ago" if s < 7200 else f"{s // 3600} h ago"


def _told(detail: dict[str, object]) -> str:
    said = {name: value for name, value in detail.items() if value not in (None, "", [])}
    reason = said.pop("reason", None)
    return str(reason) if reason else json.dumps(said, ensure_ascii=False)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
