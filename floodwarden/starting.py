"""Waiting until services that were just started answer: how long, and what people are told meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

from floodwarden.errors import CommandError
from floodwarden.http_client import ready
from floodwarden.supervisor import Service, Supervisor

READY_S: Final = 60.0
COMPILED_S: Final = 600.0
"""For the stream: its first start on a machine compiles its loops, which takes a busy one some minutes."""
COMPILES: Final = "stream"
PATIENCE_S: Final = 15.0
LOOK_S: Final = 0.1


async def until_ready(
    supervisor: Supervisor,
    services: Mapping[str, Service],
    say: Callable[[str, str, str], None],
    look: Callable[[], None],
    stopping: Callable[[], bool] = lambda: False,
) -> bool:
    """Whether all `services` answer that they are ready; False where `stopping` came first.

    `say` hears a mark, a text and a style; `look` is called several times a second.

    Raises:
        CommandError: one is not ready in time; with the end of its log.
    """
    waiting, began_s, told = set(services), time.monotonic(), False
    while waiting and not stopping():
        for news in supervisor.tend():
            say("WARNING", news, "yellow")
        waiting -= {name for name in sorted(waiting) if await ready(services[name].address)}
        took_s = time.monotonic() - began_s
        for name in sorted(waiting):
            within_s = COMPILED_S if name == COMPILES else READY_S
            if took_s > within_s:
                raise CommandError(f"{name} was not ready in {within_s:g} s; its log ends:\n{supervisor.log(name)}")
        if COMPILES in waiting and took_s > PATIENCE_S and not told:
            told = True
            first = "its first start on a machine compiles its loops, a minute or two"
            say("wait", f"the {COMPILES} is not ready yet: {first}", "")
        look()
        await asyncio.sleep(LOOK_S)
    return not waiting
