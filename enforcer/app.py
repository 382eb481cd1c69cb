"""The enforcer whole: enforcement in the main thread, and beside it what nothing there waits for: store and API."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Final

import sqlalchemy as sa

from enforcer import consumer
from enforcer.archivist import Archivist, run_to_the_end
from enforcer.store import database
from schemas.settings import Settings

_STOP_S: Final = 10.0
Beside = Callable[[sa.Engine], AbstractContextManager[Callable[[], None]]]
"""What runs over the store for as long; it gives what is to be called whenever the store has something new."""


@contextmanager
def nothing_beside(_: sa.Engine) -> Iterator[Callable[[], None]]:
    """No more than the store."""
    yield lambda: None


def run(settings: Settings, beside: Beside = nothing_beside) -> None:
    """Enforce and keep the store, until SIGTERM or SIGINT.

    Raises:
        SettingsError: a setting nobody can take.
        OSError: a port is taken.
    """
    with ExitStack() as stack:
        engine = database.open_engine(settings)
        stack.callback(engine.dispose)
        archivist = Archivist(settings, engine, stack.enter_context(beside(engine)))
        writing = threading.Thread(target=run_to_the_end, args=(archivist,), name="archivist", daemon=True)
        writing.start()
        stack.callback(writing.join, _STOP_S)
        stack.callback(archivist.stop)
        consumer.run(settings)
