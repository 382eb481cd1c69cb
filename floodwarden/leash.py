"""Child processes that never outlive us: a process group with a guard at its head that ends the group when we are gone.

    us ──pipe──► guard (/bin/sh, leads the group)     read returns when we end the pipe, or end, however that was
                   ├─ redis-server                    then: TERM to the group, two seconds later KILL
                   ├─ tansu
                   └─ python -m floodwarden ...

One mechanism for Linux and macOS, nothing to register, no process ids to guess at: even a SIGKILL of this process
closes the pipe. A terminal's Ctrl-C reaches us alone, because the group is not the terminal's foreground group.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

GRACE_S: Final = 5.0
# The guard ignores the TERM it sends. `read` fails at the end of the pipe, which is the sign to act.
_GUARD: Final = 'trap "" TERM INT HUP; read -r _; kill -TERM 0; sleep 2; kill -KILL 0'


class Leash:
    """A group of child processes; leaving the `with` block, or dying in it, ends all of them."""

    def __init__(self) -> None:
        self._children: list[subprocess.Popen[bytes]] = []
        self._guard = subprocess.Popen(  # noqa: S603 - a constant script
            ["/bin/sh", "-c", _GUARD],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )

    def start(
        self, command: Sequence[str | Path], *, log: Path, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start `command` in the group with no standard input; both outputs are appended to `log`.

        Raises:
            OSError: the program cannot be started.
        """
        with log.open("ab") as out:
            child = subprocess.Popen(  # noqa: S603 - callers start this project's own programs
                [os.fspath(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=None if env is None else dict(env),
                process_group=self._guard.pid,
            )
        self._children = [c for c in self._children if c.poll() is None]
        self._children.append(child)
        return child

    def close(self, grace_s: float = GRACE_S) -> None:
        """End every child, those started last first: TERM, up to `grace_s` for them to finish, then KILL."""
        for child in reversed(self._children):
            stop(child, grace_s)
        self._children.clear()
        if self._guard.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._guard.pid, signal.SIGKILL)
            self._guard.wait()
        if self._guard.stdin:
            self._guard.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def stop(child: subprocess.Popen[bytes], grace_s: float = GRACE_S) -> None:
    """End one child: TERM, up to `grace_s`, then KILL."""
    if child.poll() is not None:
        return
    child.terminate()
    stop_all([child], grace_s)


def stop_all(children: Sequence[subprocess.Popen[bytes]], grace_s: float = GRACE_S) -> None:
    """Wait up to `grace_s` in all for children that were told to end, then KILL the rest."""
    deadline = time.monotonic() + grace_s
    for child in children:
        try:
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
