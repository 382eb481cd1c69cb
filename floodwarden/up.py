"""Everything in one until Ctrl-C: embedded parts where none are named, limiters, stream, enforcer, and a panel."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import shlex
import signal
import socket
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from rich.console import Console

from floodwarden import embedded
from floodwarden.cli_output import safe, write_json
from floodwarden.demo.watch import AlertTail, Enforced, enforcements, tail_alerts
from floodwarden.http_client import HttpClient, HttpError
from floodwarden.leash import Leash
from floodwarden.panel import Figures, Screen
from floodwarden.starting import until_ready
from floodwarden.supervisor import Service, Supervisor, environment
from floodwarden.topics import ensure_topics
from limiter.ingest.app import sources_of
from schemas.alert import Status
from schemas.redis_client import shown
from schemas.settings import PORTS, PREFIX, Settings

LOOK_S: Final = 0.25
_CHECKS: Final = re.compile(r'floodwarden_limiter_checks_total\{.*?verdict="(\w+)".*?\} ([0-9.e+]+)')


def run(settings: Settings, *, nodes: int, port: int, as_json: bool) -> int:
    """Run until Ctrl-C or SIGTERM; 0 unless something did not start.

    Raises:
        CommandError: something could not be started; the message says what to do.
        SettingsError, PolicyError: the mapping of ingest cannot be taken.
    """
    if settings.ingest:
        sources_of(settings)  # what is wrong with the mapping is told before anything starts
    console = Console(stderr=as_json, highlight=False, markup=False)
    scratches = tempfile.TemporaryDirectory(prefix="floodwarden-up-", ignore_cleanup_errors=True)
    with scratches as scratch, ExitStack() as own:
        leash = own.enter_context(Leash())
        together = _Up(_settings(settings, nodes, Path(scratch), leash, own), Path(scratch), leash, console)
        asyncio.run(together.run(nodes, port, as_json=as_json))
    return 0


class _Up:
    def __init__(self, settings: Settings, directory: Path, leash: Leash, console: Console) -> None:
        self._settings = settings
        self._screen = Screen(console, "Floodwarden")
        self._supervisor = Supervisor(leash, directory, settings.supervised_restart_ms / 1000)
        self._directory = directory
        self._services: dict[str, Service] = {}
        self._enforced: dict[str, Enforced] = {}
        self._began_s = time.monotonic()

    async def run(self, nodes: int, port: int, *, as_json: bool) -> None:
        """From start to Ctrl-C."""
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await asyncio.to_thread(ensure_topics, self._settings)
        tail = tail_alerts(self._settings)
        try:
            with self._screen.live():
                for service in _services(self._settings, nodes, port):
                    self._services[service.name] = service
                    self._supervisor.start(service)
                if await self._ready(stop):
                    self._tell(as_json=as_json)
                while not stop.is_set():
                    await self._look(tail)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), LOOK_S)
            self._say("stop", "ending services")
        finally:
            tail.close()
            await asyncio.to_thread(self._supervisor.stop)

    async def _ready(self, stop: asyncio.Event) -> bool:
        def look() -> None:
            self._screen.show(time.monotonic(), Figures(), self._supervisor.health())

        return await until_ready(self._supervisor, self._services, self._say, look, stop.is_set)

    def _tell(self, *, as_json: bool) -> None:
        addresses = {name: f"http://{service.address}" for name, service in self._services.items()}
        port = self._services["enforcer"].environment[f"{PREFIX}API_PORT"]
        api = f"http://{self._settings.host}:{port}/api/v1"
        shell = write_shell(self._settings, self._services["meter"].address, self._directory)
        if as_json:
            where = {"kafka": self._settings.kafka, "redis": shown(self._settings.redis), "shell": str(shell)}
            write_json(where | {"services": addresses, "api": api})
        for name, address in addresses.items():
            self._screen.say(None, "ready", f"{name:<10} {address}")
        self._screen.say(None, "api", api)
        self._screen.say(None, "logs", f"{self._directory}; Ctrl-C ends everything")
        first = next(address for name, address in addresses.items() if name.startswith("limiter"))
        body = """'{"method":"POST","path":"/login","ip":"203.0.113.7"}'"""
        self._screen.say(None, "try", f"curl -s {first}/v1/check -d {body}")
        self._screen.say(None, "first", f". {shell}      # in another terminal: commands there then find this", "bold")
        self._screen.say(None, "try", "floodwarden deny add ip 203.0.113.7 --for 10m")
        self._screen.say(None, "try", "floodwarden keys create me --role admin      # a key for the API")
        self._screen.say(None, "try", "floodwarden usage top --by route")

    async def _look(self, tail: AlertTail) -> None:
        for news in self._supervisor.tend():
            self._say("WARNING", news, "yellow")
        for alert in tail.poll():
            if alert.status is Status.OPEN:
                self._say("ALERT", f"{alert.kind}: {safe(alert.summary)}", "bold yellow")
        with contextlib.suppress(HttpError):
            for one in await enforcements(self._services["enforcer"].address):
                if one.uid not in self._enforced:
                    self._say("ACTION", enforced_words(one, self._enforced.values()), "bold red")
                    self._enforced[one.uid] = one
        checks = await self._checks()
        figures = Figures(
            checks["allow"],
            checks["limit"],
            checks["deny"],
            checks["challenge"],
            len(tail.alerts),
            tuple(safe(one.what) for one in list(self._enforced.values())[-4:]),
            tuple(one.took_ms for one in self._enforced.values() if one.took_ms is not None),
        )
        self._screen.show(time.monotonic(), figures, self._supervisor.health())

    async def _checks(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for name, service in self._services.items():
            if not name.startswith("limiter"):
                continue
            with contextlib.suppress(HttpError):
                async with HttpClient(service.address, 1, 1.0) as client:
                    text = (await client.request("GET", "/metrics", {"connection": "close"})).body.decode()
                for verdict, count in _CHECKS.findall(text):
                    found[verdict] += int(float(count))
        return found

    def _say(self, mark: str, text: str, style: str = "") -> None:
        self._screen.say(time.monotonic() - self._began_s, mark, text, style)


def enforced_words(one: Enforced, before: Iterable[Enforced]) -> str:
    """An action that is in force, in words; what no request decided and was in force `before` goes on."""
    nodes = len(one.nodes)
    again = one.crossed_ms is None and any(one.what == each.what for each in before)
    does = "goes on" if again else "in force"
    return f"{safe(one.what)} {does} at {nodes} limiter{'s' * (nodes != 1)}, {one.after}"


def _settings(settings: Settings, nodes: int, directory: Path, leash: Leash, own: ExitStack) -> Settings:
    stated = settings.model_fields_set
    update: dict[str, object] = {"known_nodes": max(nodes, settings.known_nodes), "host": settings.host}
    if "kafka" not in stated:
        update["kafka"] = own.enter_context(embedded.broker(leash, directory))
    if "redis" not in stated:
        update["redis"] = own.enter_context(embedded.redis(leash, directory))
    if "data_dir" not in stated and "kafka" not in stated:
        update["data_dir"] = directory / "data"  # the broker forgets everything too
    if "secret" not in stated:
        update["secret"] = type(settings.secret)(secrets.token_hex(16))
    return settings.model_copy(update=update)


def write_shell(settings: Settings, meter: str, directory: Path) -> Path:
    """A file for a shell to read, after which commands there find what runs here; nobody else may read it.

    Ports, secret and data directory are made up anew at each start: without them a command would ask another broker,
    or look into an empty store of its own and find nothing in it.
    """
    said = {
        "KAFKA": settings.kafka,
        "REDIS": settings.redis,
        "DATA_DIR": str(settings.data_dir),
        "SECRET": settings.secret.get_secret_value(),
        "METER": meter,
    }
    lines = [f"export {PREFIX}{name}={shlex.quote(value)}" for name, value in said.items()]
    lines.append(f'export PATH={shlex.quote(sysconfig.get_path("scripts"))}:"$PATH"')
    path = directory / "shell"
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def _services(settings: Settings, nodes: int, port: int) -> list[Service]:
    def service(name: str, program: str, at: int, **more: object) -> Service:
        variables = environment(settings, port=at, node=f"{name}-{os.getpid()}", **more)
        return Service(name, "floodwarden", (program,), variables, f"{settings.host}:{at}")

    api = embedded.free_port() if _taken(PORTS["api"]) else PORTS["api"]
    stream = service("stream", "stream", embedded.free_port())
    made = [
        replace(stream, environment={"MALLOC_ARENA_MAX": "1", **stream.environment}),  # as in its image (ADR 0094)
        service("enforcer", "enforcer", embedded.free_port(), api_port=settings.api_port or api),
    ]
    known = ("meter", "ingest") if settings.ingest else ("meter",)
    made += [service(n, n, embedded.free_port() if _taken(PORTS[n]) else PORTS[n]) for n in known]
    for n in range(nodes):
        at = port + n if port and not _taken(port + n) else embedded.free_port()
        made.append(service(f"limiter-{n + 1}", "limiter", at))
    return made


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
