"""The demo from start to verdict: embedded parts, four services, traffic, a timeline, and one judgement."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console

from floodwarden import embedded
from floodwarden.cli_output import write_json
from floodwarden.demo import story, traffic
from floodwarden.demo.driver import drive
from floodwarden.demo.ledger import Ledger
from floodwarden.demo.node import POLICY
from floodwarden.demo.verdict import Tallies, Verdict, how_it_went, judge
from floodwarden.demo.watch import AlertTail, Enforced, decisions_in_topic, enforcements, tail_alerts
from floodwarden.http_client import HttpError, get_json
from floodwarden.leash import Leash
from floodwarden.panel import Screen
from floodwarden.starting import until_ready
from floodwarden.supervisor import Service, Supervisor, environment
from floodwarden.topics import ensure_topics
from limiter.identity import Identifier
from schemas.alert import Alert
from schemas.redis_client import shown
from schemas.settings import Settings

NODES: Final = ("limiter-1", "limiter-2")
PATIENCE_S: Final = 90.0  # of attackers that nothing stopped yet when the traffic ends
ENCORE_S: Final = 2.0
SETTLE_S: Final = 25.0
LOOK_S: Final = 0.1
PLAIN_WIDTH: Final = 140  # of tables in a file or a pipe


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    seconds: float = traffic.SECONDS
    seed: int = 1
    kill_stream: bool = False
    as_json: bool = False
    keep: Path | None = None


def run(options: Options, settings: Settings) -> int:
    """Run the demo; 0 when every promise was kept, else 1.

    Raises:
        CommandError: something could not be started; the message says what to do.
    """
    console = Console(stderr=options.as_json, highlight=False, markup=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    with _directory(options.keep) as directory, ExitStack() as stack:
        leash = stack.enter_context(Leash())
        demo = _Demo(options, Screen(console, "Floodwarden demo"), directory, leash)
        demo.settings = _settings(settings, directory, leash, stack)
        verdict = asyncio.run(demo.play())
    story.tell(console, verdict, demo.tail.first.values() if demo.tail else ())
    if options.as_json:
        write_json(verdict.as_json())
    return 0 if verdict.ok else 1


class _Demo:
    """One run. Its parts share a clock that starts with the traffic."""

    settings: Settings

    def __init__(self, options: Options, screen: Screen, directory: Path, leash: Leash) -> None:
        self.options = options
        self.screen = screen
        self.ledger = Ledger()
        self.tail: AlertTail | None = None
        self.enforced: dict[str, Enforced] = {}
        self._supervisor = Supervisor(leash, directory, restart_s=0.3)
        self._services: dict[str, Service] = {}
        self._zero_s = time.monotonic()

    async def play(self) -> Verdict:
        """The story from the start of the services to the verdict."""
        settings = self.settings
        self.screen.say(None, "start", f"Kafka protocol at {settings.kafka}, Redis at {shown(settings.redis)}")
        await asyncio.to_thread(ensure_topics, settings)
        self.tail = tail_alerts(settings)
        try:
            with self.screen.live():
                await self._start()
                verdict = await self._perform()
        finally:
            self.tail.close()
            await asyncio.to_thread(self._supervisor.stop)
        return verdict

    async def _start(self) -> None:
        began_s = time.monotonic()
        for service in _services(self.settings):
            self._services[service.name] = service
            self._supervisor.start(service)
        say = partial(self.screen.say, None)
        await until_ready(self._supervisor, self._services, say, self._show)
        took_s = time.monotonic() - began_s
        self.screen.say(None, "ready", f"{', '.join(self._services)}: up in {took_s:.1f} s")

    async def _perform(self) -> Verdict:
        shots = traffic.schedule(self.options.seed, self.options.seconds)
        self._zero_s = time.monotonic()
        background = asyncio.create_task(self._follow())
        cues = asyncio.create_task(self._cues())
        try:
            await self._drive(shots)
            await self._encore()
            self._say("traffic", f"ended: {self.ledger.totals.total():,} requests sent")
            await cues
            tallies = await self._settle()
        finally:
            for task in (cues, background):
                task.cancel()
            await asyncio.gather(cues, background, return_exceptions=True)
        await self._look()
        identifier = Identifier(self.settings)
        good = {
            target for client in self.ledger.by_client if client.good for target in story.targets(client, identifier)
        }
        return judge(
            self.ledger, story.attackers(identifier), good, list(self.enforced.values()), self._alerts(), NODES, tallies
        )

    async def _drive(self, shots: Sequence[traffic.Shot]) -> None:
        await drive(shots, [self._services[name].address for name in NODES], self.ledger, story.outcome)

    async def _encore(self) -> None:
        """Where the machine was too slow to stop an attacker in the time of the story, all go on for a while."""
        deadline_s = time.monotonic() + PATIENCE_S
        attackers = story.attackers(Identifier(self.settings))
        told = False
        while time.monotonic() < deadline_s:
            now = [how_it_went(a, self.ledger, list(self.enforced.values()), self._alerts(), NODES) for a in attackers]
            if all(one.judged for one in now):
                return
            if not told:
                self._say("traffic", f"the attack goes on until {story.at_large(now)} was stopped", "yellow")
                told = True
            await self._drive(traffic.encore(self.options.seed, ENCORE_S))

    async def _cues(self) -> None:
        """Say what the traffic is about to do, and do the fault that was asked for, each at its time."""
        scene = traffic.scene(self.options.seconds)
        cues = story.cues(scene, Identifier(self.settings))
        if self.options.kill_stream:
            cues.append((scene.brute_s + 0.3, "FAULT", "kill -9 of the stream worker, in mid-attack", "bold yellow"))
        for at_s, mark, text, style in sorted(cues):
            await asyncio.sleep(max(0.0, at_s - (time.monotonic() - self._zero_s)))
            self._say(mark, text, style)
            if mark == "FAULT":
                self._supervisor.kill("stream")

    async def _follow(self) -> None:
        """Keep services alive and the screen current until cancelled."""
        shown_s = 0.0
        while True:
            for news in self._supervisor.tend():
                self._say("WARNING", news, "yellow")
            await self._look()
            if time.monotonic() - shown_s >= 1:
                shown_s = time.monotonic()
                self._show()
            await asyncio.sleep(LOOK_S)

    async def _look(self) -> None:
        """Alerts and enforcements that are new since the last look."""
        known = set(self.tail.alerts) if self.tail else set()
        for alert in self.tail.poll() if self.tail else ():
            if line := story.alert_line(alert, known):
                self._say(*line)
            known.add(alert.uid)
        with contextlib.suppress(HttpError):  # the enforcer may be busy; the next look sees it
            for one in await enforcements(self._services["enforcer"].address):
                if one.uid not in self.enforced:
                    self.enforced[one.uid] = one
                    self._say(*story.enforced_line(one, len(NODES)))

    async def _settle(self) -> Tallies:
        """Wait until the windows hold every decision of the topic, or for `SETTLE_S`."""
        deadline_s = time.monotonic() + SETTLE_S
        while True:
            published = await asyncio.to_thread(decisions_in_topic, self.settings)
            counted = await _counted(self._services["stream"].address)
            tallies = Tallies(self.ledger.answered, self.ledger.lost, published, counted)
            if tallies.exact or time.monotonic() > deadline_s:
                self._say("counts", story.tallies_words(tallies), "" if tallies.exact else "bold red")
                return tallies
            await asyncio.sleep(0.3)

    def _alerts(self) -> Collection[Alert]:
        return self.tail.first.values() if self.tail else ()

    def _show(self) -> None:
        figures = story.figures(self.ledger, len(self.tail.alerts) if self.tail else 0, list(self.enforced.values()))
        self.screen.show(time.monotonic(), figures, self._supervisor.health())

    def _say(self, mark: str, text: str, style: str = "") -> None:
        self.screen.say(time.monotonic() - self._zero_s, mark, text, style)


async def _counted(address: str) -> int | None:
    try:
        totals = await get_json(address, "/v1/totals")
    except HttpError:
        return None
    return story.total(totals)


def _settings(settings: Settings, directory: Path, leash: Leash, stack: ExitStack) -> Settings:
    """The settings of the run: embedded parts where none are named, and names nobody else uses in either."""
    stated = settings.model_fields_set
    mark = secrets.token_hex(4)
    return settings.model_copy(
        update={
            "kafka": settings.kafka if "kafka" in stated else stack.enter_context(embedded.broker(leash, directory)),
            "redis": settings.redis if "redis" in stated else stack.enter_context(embedded.redis(leash, directory)),
            "topic_prefix": f"demo-{mark}.",
            "redis_prefix": f"fw-demo-{mark}:",
            "data_dir": directory / "data",
            "policies": POLICY,
            "known_nodes": len(NODES),
            "host": "127.0.0.1",
            "trusted_proxies": "127.0.0.0/8",
            "allowlist": "",
            "sample_allowed": 1.0,  # counts are compared to the row
            "secret": type(settings.secret)(secrets.token_hex(16)),
        }
    )


def _services(settings: Settings) -> Iterator[Service]:
    def service(name: str, module: str, *arguments: str) -> Service:
        port = embedded.free_port()
        return Service(name, module, arguments, environment(settings, port=port, node=name), f"{settings.host}:{port}")

    yield service("stream", "floodwarden", "stream")
    yield service("enforcer", "floodwarden", "enforcer")
    for name in NODES:
        yield service(name, "floodwarden.demo.node")


@contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="floodwarden-demo-", ignore_cleanup_errors=True) as scratch:
        yield Path(scratch)
