"""Commands that run things: each program by itself, all of them together, the demo, and what they need.

A program is imported only when it is run: every service starts through here, and none pays for the others.
"""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final, cast

import typer

from floodwarden import cli_ingest
from floodwarden.cli_output import Json, console, table, write_json
from floodwarden.errors import CommandError
from schemas import settings as settings_of
from schemas.settings import PORTS, Settings

SERVICES: Final = "Services (one program each, settings from FLOODWARDEN_*)"
TOGETHER: Final = "Everything together"
CARE: Final = "Look after it"
_FIRST_PORT: Final = PORTS["limiter"]

_PROGRAMS: Final = {
    "limiter": "limiter.http",
    "stream": "stream.app",
    "enforcer": "enforcer.app",
    "enforcer with API": "floodwarden.enforcing",
    "ingest": "limiter.ingest.app",
    "meter": "stream.metering.app",
}


def register(app: typer.Typer) -> None:
    """Put the commands of this module on the command line."""
    app.command("demo", rich_help_panel=TOGETHER)(demo)
    app.command("up", rich_help_panel=TOGETHER)(up)
    app.command("limiter", rich_help_panel=SERVICES)(limiter)
    app.command("stream", rich_help_panel=SERVICES)(stream)
    app.command("enforcer", rich_help_panel=SERVICES)(enforcer)
    app.command("ingest", rich_help_panel=SERVICES)(cli_ingest.ingest)
    app.command("meter", rich_help_panel=SERVICES)(meter)
    app.command("topics", rich_help_panel=CARE)(topics)
    app.command("settings", rich_help_panel=CARE)(list_settings)
    app.command("key-id", rich_help_panel=CARE)(key_id)
    app.command("doctor", rich_help_panel=CARE)(doctor)
    app.command("bench", rich_help_panel=CARE)(bench)


def limiter() -> None:
    """Run a limiter on port 8080: it answers gateways, tells every decision, and waits for neither Kafka nor Redis.

    POST /v1/check, /v1/checks    may this request pass?
    GET  /v1/auth                 the same as a sub-request of nginx or HAProxy
    POST /v1/release              slots of requests that are done
    POST /v1/decisions            what your own limiter decided
    GET  /healthz /readyz /metrics

    FLOODWARDEN_POLICIES          your limits; SIGHUP reads them again
    FLOODWARDEN_PORT, _HOST       where it listens; for Envoy _GRPC_PORT, too
    FLOODWARDEN_REDIS, _KAFKA     what it shares limits by, and tells decisions to
    FLOODWARDEN_SECRET            keys the hash of API keys
    FLOODWARDEN_TRUSTED_PROXIES   whose word about a client counts
    """
    _run("limiter", settings_of.load())


def stream() -> None:
    """Run a stream worker: decisions in, alerts out. Start as many as you like, up to the partitions of `usage`."""
    settings = settings_of.load()
    _make_topics(settings)
    _run("stream", settings)


def enforcer(
    *,
    api_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="serve the API there", show_default="FLOODWARDEN_API_PORT")
    ] = None,
) -> None:
    """Run the enforcer: alerts in, guarded actions out, Redis kept equal to them; beside it the store and the API."""
    settings = settings_of.load() if api_port is None else settings_of.load(api_port=api_port)
    _make_topics(settings)
    _run("enforcer", settings, "enforcer with API" if settings.api_port else "enforcer")


def meter() -> None:
    """Run the meter: it keeps who used how much, which `floodwarden usage` shows. Two share the work."""
    settings = settings_of.load()
    _make_topics(settings)
    _run("meter", settings)


def run_ingest(settings: Settings) -> None:
    """The service behind `ingest`."""
    _make_topics(settings)
    _run("ingest", settings)


def topics(
    *,
    wait_s: Annotated[float, typer.Option("--wait", min=0, help="seconds to wait for a broker that is starting")] = 30,
    as_json: Json = False,
) -> None:
    """Make the topics that are missing; those that are there stay as they are."""
    from floodwarden.topics import ensure_topics

    states = ensure_topics(settings_of.load(), wait_s)
    if as_json:
        for state in states:
            write_json(asdict(state))
        return
    rows = [(s.name, str(s.partitions), "made" if s.made else "was there") for s in states]
    table(("topic", "partitions", ""), rows, "")


def key_id(*, as_json: Json = False) -> None:
    """Tell the key id of an API key, by which rows, policies and `deny add key` name it. The key comes on stdin.

    printf %s "$KEY" | floodwarden key-id
    """
    from limiter.identity import KEY_BYTES_MAX, Identifier

    settings = settings_of.load()
    key = typer.prompt("API key", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.read().rstrip("\r\n")
    if not 1 <= len(key.encode("utf-8", "surrogateescape")) <= KEY_BYTES_MAX:
        raise CommandError(f"no key of 1 to {KEY_BYTES_MAX} bytes came on standard input")
    if settings.secret.get_secret_value() == "change-me":
        sys.stderr.write("floodwarden: FLOODWARDEN_SECRET is not set; set it as the limiters have it\n")
    found = Identifier(settings).key_id(key)
    write_json({"key_id": found}) if as_json else console().print(found)


def list_settings(
    word: Annotated[str, typer.Argument(help="only those that have this in name or text: jwt, redis")] = "",
    *,
    as_json: Json = False,
) -> None:
    """Every FLOODWARDEN_* variable there is, with its value when not set, and what it is for."""
    listed = [
        (
            settings_of.PREFIX + name.upper(),
            "" if field.default is None else str(field.default),
            field.description or "",
        )
        for name, field in Settings.model_fields.items()
        if word.lower() in f"{settings_of.PREFIX}{name} {field.description}".lower()
    ]
    if as_json:
        for name, default, about in listed:
            write_json({"name": name, "default": default, "about": about})
        return
    out = console()
    for name, default, about in listed:
        out.print(f"{name}={default}", style="bold", soft_wrap=True)
        out.print(textwrap.fill(about, out.width, initial_indent="    ", subsequent_indent="    "))
    if not listed:
        out.print(f"no setting has {word!r} in it")


def doctor(*, as_json: Json = False) -> None:
    """Look at versions, settings, Kafka, topics, Redis, feed, model, meter, ingest; say what to do.

    Exit code 1 when one fails.
    """
    from floodwarden.diagnosis import Level
    from floodwarden.doctor import examine

    style = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}
    failed = False
    for check in examine(settings_of.load()):
        failed |= check.level is Level.FAIL
        if as_json:
            write_json(asdict(check))
            continue
        out = console()
        out.print(f"{check.level:<5}", style=style[check.level], end="")
        out.print(f"{check.name:<16} {check.seen}", soft_wrap=True)
        if check.fix:
            out.print(f"{'':<22}-> {check.fix}", style="dim", soft_wrap=True)
    raise typer.Exit(int(failed))


def up(
    *,
    as_json: Json = False,
    nodes: Annotated[int, typer.Option(min=1, max=8, help="limiters to run")] = 1,
    port: Annotated[int, typer.Option(min=0, max=65000, help="the first limiter's port; 0 = a free one")] = _FIRST_PORT,
) -> None:
    """Run everything until Ctrl-C: limiters, stream, enforcer, meter, with a broker and a Redis of our own.

    Set FLOODWARDEN_KAFKA or FLOODWARDEN_REDIS to use yours instead; FLOODWARDEN_INGEST runs ingest, too.
    """
    from floodwarden import up as together

    raise typer.Exit(together.run(settings_of.load(), nodes=nodes, port=port, as_json=as_json))


def demo(
    *,
    as_json: Json = False,
    seconds: Annotated[
        float,
        typer.Option(min=12, max=3600, help="length of the traffic, more if nothing stops the attackers"),
    ] = 30,
    seed: Annotated[int, typer.Option(help="the same seed gives the same traffic")] = 1,
    kill_stream: Annotated[bool, typer.Option("--kill-stream", help="SIGKILL the stream worker in mid-load")] = False,
    keep: Annotated[Path | None, typer.Option(help="keep the services' logs in this directory")] = None,
) -> None:
    """Show the whole loop at work, attack included, in about a minute.

    A shop behind two limiters; customers, a password guesser, a client that ignores 429, a crowd that must be left
    alone. Exit code 0 only if both attackers were stopped and no good client was touched.
    """
    from floodwarden.demo import run

    raise typer.Exit(run.run(run.Options(seconds, seed, kill_stream, as_json, keep), settings_of.load()))


def bench(
    name: Annotated[str, typer.Argument(help="which, or `all`; `list` shows them")] = "list",
    *,
    as_json: Json = False,
) -> None:
    """Measure against peers in one run and print ratios. Needs a checkout of the repository (tests/bench)."""
    from floodwarden import bench as benches

    known = benches.find()
    if name == "list":
        table(("name", "what it measures"), sorted((n, b.about) for n, b in known.items()), "no benchmarks here")
        return
    if name != "all" and name not in known:
        sys.stderr.write(f"floodwarden: no benchmark {name!r}; known: {', '.join(sorted(known))}, all\n")
        raise typer.Exit(2)
    for one in sorted(known) if name == "all" else [name]:
        result = known[one].run()
        if as_json:
            write_json(result)
        else:
            benches.show(result, console())


def _make_topics(settings: Settings) -> None:
    from floodwarden.topics import ensure_topics

    ensure_topics(settings)


def _run(name: str, settings: Settings, program: str = "") -> None:
    from floodwarden import logs
    from floodwarden.ports import need_ports

    if settings.port == 0:
        settings = settings.model_copy(update={"port": PORTS[name]})
    need_ports(settings, name)
    logs.configure(settings)
    module = importlib.import_module(_PROGRAMS[program or name])
    run = cast("Callable[[Settings], None]", module.run)
    try:
        run(settings)
    except OSError as error:
        raise CommandError(f"{name}: {error}") from error
