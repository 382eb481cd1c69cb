"""The shell: every source in a thread of its own, HTTP in the main one, until a signal.

topic, files ─► thread: read in bulk, decode, map ─┐
HTTP ─────────► worker thread ─────────────────────┴─► outlet's thread ─► decisions, dead-letter
                position kept  ◄──────── ticket ◄──────────── acknowledged
"""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from typing import Any, Final

import structlog
import uvicorn
from confluent_kafka import KafkaException

from limiter.identity import Identifier
from limiter.ingest.files import FilesSource
from limiter.ingest.located import Located
from limiter.ingest.mapping import Source
from limiter.ingest.mapping_file import load
from limiter.ingest.metrics import Metrics
from limiter.ingest.outlet import Outlet
from limiter.ingest.reader import reader
from limiter.ingest.source import Intake
from limiter.ingest.taken import TakenIds
from limiter.ingest.topic import TopicSource
from limiter.ingest.web import PostSource, create_app
from limiter.places import Places
from schemas.errors import SettingsError
from schemas.settings import PORTS, PREFIX, Settings

AGAIN_AFTER_S: Final = 1.0
_STOP_S: Final = 5.0
log = structlog.get_logger("ingest")


class Ingest:
    """All sources of a mapping file. Raises `SettingsError` and `PolicyError` where it cannot begin."""

    def __init__(self, settings: Settings, sources: list[Source]) -> None:
        self.metrics = Metrics()
        self._settings = settings
        self._outlet = Outlet(settings, self.metrics)
        self._identifier = Identifier(settings)
        self._places = Places(settings.geoip)
        self._stopping = threading.Event()
        self.posts: dict[str, PostSource] = {}
        self._followed: dict[str, Source] = {}
        self._running: dict[str, TopicSource | FilesSource] = {}
        for source in sources:
            if source.topic is None and not source.files:
                self.posts[source.name] = PostSource(self._intake(source))
            else:
                self._followed[source.name] = source
        for source in self._followed.values():
            try:
                self._begun(source)
            except KafkaException as error:
                raise SettingsError(f"{source.name}: {error.args[0]}; mend `options` in its mapping") from error
        self._threads = [
            threading.Thread(target=self._run, args=(source,), name=f"ingest-{name}", daemon=True)
            for name, source in self._followed.items()
        ]

    def start(self) -> None:
        """Begin; a broker that is away is waited for."""
        self._outlet.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Reads no more, waits a little for the broker, keeps the positions, ends."""
        self._stopping.set()
        self._outlet.hurry()
        for thread in self._threads:
            thread.join(_STOP_S * 2)
        self._outlet.stop(_STOP_S)

    def why_not_ready(self) -> str:
        """What is waited for; empty when every source is at work."""
        for name in self._followed:
            if reason := self._running[name].why_not_ready:
                return reason
        return "waiting for Kafka" if self._outlet.away else ""

    def _run(self, source: Source) -> None:
        while not self._stopping.is_set():
            try:
                self._running[source.name].run(self._stopping)
            except Exception:  # a source's outermost line: it begins anew at its kept position
                self.metrics.faults.labels(source.name).inc()
                log.exception("source_fault", source=source.name)
                self._stopping.wait(AGAIN_AFTER_S)
                self._begun(source)

    def _begun(self, source: Source) -> None:
        intake = self._intake(source)
        if source.topic is not None:
            self._running[source.name] = TopicSource(self._settings, source.topic, intake)
        else:
            self._running[source.name] = FilesSource(self._settings, source, intake)

    def _intake(self, source: Source) -> Intake:
        taken = None
        if source.mapping.event_id:
            taken = TakenIds(self._settings.data_dir, source.name, source.ids_kept, self.metrics)
        reads = reader(source, self._identifier.key_id, taken.known() if taken is not None else ((), ()))
        if self._settings.geoip:
            reads = Located(reads, self._places.of)
        return Intake(source, reads, self._outlet, self.metrics, taken)


def with_secrets(source: Source) -> Source:
    """A source's Kafka options with what the environment says for `$NAME`.

    Raises:
        SettingsError: a variable is not set.
    """
    if source.topic is None:
        return source
    options: dict[str, Any] = {}
    for name, value in source.topic.options.items():
        if value.startswith("$"):
            found = os.environ.get(value[1:])
            if found is None:
                raise SettingsError(f"{value[1:]} is not set; source {source.name} takes `{name}` from it")
            options[name] = found
        else:
            options[name] = value
    return replace(source, topic=replace(source.topic, options=options))


def sources_of(settings: Settings) -> list[Source]:
    """What the settings' mapping file says. Raises `SettingsError` and `PolicyError` where it cannot be taken."""
    if settings.ingest is None:
        raise SettingsError(f"{PREFIX}INGEST is not set; name a mapping: `floodwarden ingest FILE`, see docs/ingest.md")
    return [with_secrets(source) for source in load(settings.ingest)]


def run(settings: Settings) -> None:
    """Serves until SIGTERM or Ctrl-C. Raises `SettingsError` and `PolicyError` where the mapping cannot be taken."""
    sources = sources_of(settings)
    ingest = Ingest(settings, sources)
    app = create_app(ingest.posts, ingest.metrics.registry, ingest.why_not_ready)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port or PORTS["ingest"],
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
    )
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises it once more for whoever had it before
            signal.signal(number, lambda *_: None)
    ingest.start()
    log.info("ingest_started", sources=[source.name for source in sources], at=time.time())
    try:
        uvicorn.Server(config).run()
    finally:
        ingest.stop()
