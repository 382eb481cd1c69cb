"""Keeps services running as child processes: starts them, starts crashed ones again, ends all of them with us.

Nothing runs in the background here: whoever owns a Supervisor calls `tend()` a few times a second.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from floodwarden.leash import GRACE_S, Leash, stop_all
from schemas.settings import PREFIX, Settings

BACKOFF_S_MAX: Final = 10.0
STEADY_S: Final = 20.0  # a service that ran so long starts again without having its past crashes held against it
LOG_BYTES_SHOWN: Final = 2000


@dataclass(frozen=True, slots=True)
class Service:
    """A program to keep running: `module` as in `python -m`, its arguments, its whole environment, its address."""

    name: str
    module: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    address: str

    @property
    def command(self) -> list[str]:
        """What is executed."""
        return [sys.executable, "-m", self.module, *self.arguments]


@dataclass(frozen=True, slots=True)
class Health:
    """How a service stands: `pid` None while it is down, `crashes` since the beginning, the last exit code."""

    name: str
    pid: int | None
    crashes: int
    exit_code: int | None
    address: str


@dataclass(slots=True)
class _Kept:
    service: Service
    child: subprocess.Popen[bytes] | None = None
    since_s: float = 0.0
    due_s: float = 0.0  # when to start it again, while it is down
    crashes: int = 0
    crashes_in_a_row: int = 0
    exit_code: int | None = None


def backoff_s(crashes_in_a_row: int, first_s: float) -> float:
    """Seconds to wait before a service is started again: doubles with each crash in a row, up to `BACKOFF_S_MAX`."""
    return float(min(BACKOFF_S_MAX, first_s * 2 ** min(crashes_in_a_row - 1, 16))) if crashes_in_a_row > 0 else 0.0


@dataclass(slots=True)
class Supervisor:
    """Services under one leash; each one's output goes to `directory/NAME.log`."""

    leash: Leash
    directory: Path
    restart_s: float = 0.5
    clock: Callable[[], float] = time.monotonic
    _kept: dict[str, _Kept] = field(default_factory=dict)

    def start(self, service: Service) -> None:
        """Start `service` now and keep it running.

        Raises:
            OSError: the interpreter cannot be started at all.
        """
        kept = _Kept(service)
        self._kept[service.name] = kept
        self._spawn(kept)

    def tend(self) -> list[str]:
        """Notice what ended, start again what is due; sentences about what happened since the last call."""
        news: list[str] = []
        for kept in self._kept.values():
            now_s = self.clock()
            if kept.child is None:
                if now_s >= kept.due_s:
                    self._spawn(kept)
                    news.append(f"{kept.service.name} started again")
            elif (code := kept.child.poll()) is not None:
                kept.crashes_in_a_row = 1 if now_s - kept.since_s > STEADY_S else kept.crashes_in_a_row + 1
                kept.crashes += 1
                kept.exit_code = code
                kept.child = None
                wait_s = backoff_s(kept.crashes_in_a_row, self.restart_s)
                kept.due_s = now_s + wait_s
                news.append(f"{kept.service.name} {_ending(code)}; it starts again in {wait_s:.1f} s")
        return news

    def health(self) -> list[Health]:
        """How every service stands, in the order they were started."""
        return [
            Health(k.service.name, k.child.pid if k.child else None, k.crashes, k.exit_code, k.service.address)
            for k in self._kept.values()
        ]

    def kill(self, name: str) -> int | None:
        """SIGKILL one service, as a fault would; its process id, None when it is down already."""
        child = self._kept[name].child
        if child is None or child.poll() is not None:
            return None
        child.kill()
        return child.pid

    def log(self, name: str) -> str:
        """The last lines a service wrote, for an error message."""
        path = self._log(name)
        text = path.read_text("utf-8", "replace") if path.exists() else ""
        return text[-LOG_BYTES_SHOWN:].strip()

    def stop(self, grace_s: float = GRACE_S) -> None:
        """TERM all, `grace_s` for them to finish together, then KILL; nothing is started again."""
        children = [k.child for k in self._kept.values() if k.child is not None and k.child.poll() is None]
        for child in children:
            child.terminate()
        stop_all(children, grace_s)
        self._kept.clear()

    def _spawn(self, kept: _Kept) -> None:
        kept.child = self.leash.start(
            kept.service.command, log=self._log(kept.service.name), env=kept.service.environment
        )
        kept.since_s = self.clock()

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"


def environment(settings: Settings, **overrides: object) -> dict[str, str]:
    """The environment that makes a child read exactly these settings, with `overrides` by setting name."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    values = {**{name: getattr(settings, name) for name in Settings.model_fields}, **overrides}
    for name, value in values.items():
        if value is None:
            continue
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        inherited[PREFIX + name.upper()] = text
    inherited.setdefault("PYTHONUNBUFFERED", "1")
    for pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
        inherited.setdefault(pool, "2")  # small batches: more threads only take turns
    return inherited


def _ending(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
