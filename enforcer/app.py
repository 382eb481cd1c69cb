"""The enforcer whole: enforcement in the main thread, and beside it what nothing there waits for: store and API."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Final

import sqlalchemy as sa

from enforcer import consumer
from enforcer.archivist import Archivist, run_to_the_end
from enforcer.notify.destinations import Notices
from enforcer.notify.outbox import Outbox
from enforcer.notify.setup import configured
from enforcer.policy_keeper import PolicyKeeper
from enforcer.policy_publisher import PolicyPublisher
from enforcer.store import database
from enforcer.store.access import Access
from schemas.redis_client import connect
from schemas.settings import Settings

_STOP_S: Final = 10.0
_REDIS_S: Final = 5.0
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
        notices = configured(settings)
        told = [stack.enter_context(beside(engine)), *_sending(stack, settings, engine, notices)]
        archivist = Archivist(settings, engine, lambda: _ring(told), notices)
        writing = threading.Thread(target=run_to_the_end, args=(archivist,), name="archivist", daemon=True)
        writing.start()
        stack.callback(writing.join, _STOP_S)
        stack.callback(archivist.stop)
        stack.enter_context(_policies_kept(settings, engine, notices))
        consumer.run(settings, archivist.measured, Access(engine))


def _sending(
    stack: ExitStack, settings: Settings, engine: sa.Engine, notices: Notices | None
) -> list[Callable[[], None]]:
    if notices is None:
        return []
    from enforcer.notify import sender  # noqa: PLC0415 - its clients of HTTP and mail, only where somebody is told

    return [stack.enter_context(sender.sending(settings, engine, notices))]


def _ring(bells: Sequence[Callable[[], None]]) -> None:
    for ring in bells:
        ring()


@contextmanager
def _policies_kept(settings: Settings, engine: sa.Engine, notices: Notices | None) -> Iterator[None]:
    """Redis shows limiters the policies of the store, for as long."""
    with connect(settings.redis, timeout_s=_REDIS_S) as client:
        publisher = PolicyPublisher(client, settings.keys, consumer.clock_ms)
        outbox = None if notices is None else Outbox(notices, consumer.clock_ms)
        keeper = PolicyKeeper(engine, publisher, outbox=outbox)
        keeping = threading.Thread(target=keeper.run, name="policies", daemon=True)
        keeping.start()
        try:
            yield
        finally:
            keeper.stop()
            keeping.join(_STOP_S)
