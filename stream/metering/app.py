"""The meter as a program: a thread that reads, counts and stores, and HTTP beside it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from pathlib import Path
from typing import Final, NoReturn

import structlog

from schemas.errors import SettingsError
from schemas.settings import Settings
from stream.metering import http, store
from stream.metering.errors import StoreError
from stream.metering.meter import Meter
from stream.metering.metrics import Metrics
from stream.metering.questions import Questions

log = structlog.get_logger(__name__)
EXIT_CRASHED: Final = 3
_STOP_S: Final = 10.0


def run(settings: Settings) -> NoReturn:
    """Serve until SIGTERM or SIGINT. Crash-only: what cannot go on ends the process with code 3, to start again.

    Raises:
        SettingsError: the store is not one we can use.
    """
    log.info("starting", kafka=settings.kafka, prefix=settings.topic_prefix)
    code = asyncio.run(_serve(settings))
    logging.shutdown()
    os._exit(code)  # not by way of the client's threads, which may wait for a broker that is gone


def store_url(settings: Settings) -> str:
    """Where usage is kept: as set, else a file beside the snapshots."""
    path = Path(settings.data_dir) / "usage.db"
    return settings.usage_store.get_secret_value() or f"sqlite:///{path}"


async def _serve(settings: Settings) -> int:
    try:
        engine = store.connect(store_url(settings))
    except StoreError as error:
        raise SettingsError(str(error)) from error
    metrics, stop = Metrics(), threading.Event()
    kept = store.Store(engine, heaviest=settings.usage_heaviest, usage_partitions=settings.usage_partitions)
    meter = Meter(settings, kept, metrics)
    server = http.Server(Questions(engine), metrics, meter.ready.is_set, meter.offsets)
    await server.start(settings.host, settings.port or http.PORT)
    log.info("listening", host=settings.host, port=server.port)
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    metering = asyncio.create_task(asyncio.to_thread(meter.run, stop))
    stopping = asyncio.create_task(told.wait())
    await asyncio.wait([metering, stopping], return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    await asyncio.wait([metering], timeout=_STOP_S)
    if not metering.done() or metering.exception() is not None:
        log.error("crashed", error=str(metering.exception()) if metering.done() else "did not stop in time")
        return EXIT_CRASHED
    await server.stop()
    log.info("stopped")
    return 0
