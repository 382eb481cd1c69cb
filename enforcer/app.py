"""The enforcer whole: enforcement in the main thread, and beside it what nothing waits for: the store's writer."""

from __future__ import annotations

import threading
from typing import Final

from enforcer import consumer
from enforcer.archivist import Archivist, run_to_the_end
from enforcer.store import database
from schemas.settings import Settings

_STOP_S: Final = 10.0


def run(settings: Settings) -> None:
    """Enforce, and keep the store, until SIGTERM or SIGINT.

    Raises:
        SettingsError: a setting nobody can take.
    """
    engine = database.open_engine(settings)
    archivist = Archivist(settings, engine, lambda: None)
    writing = threading.Thread(target=run_to_the_end, args=(archivist,), name="archivist", daemon=True)
    writing.start()
    try:
        consumer.run(settings)
    finally:
        archivist.stop()
        writing.join(_STOP_S)
        engine.dispose()
