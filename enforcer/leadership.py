"""Which of several enforcers does what only one must do: the one that Kafka gave the first partition of `alerts`.

Kafka takes a partition from a member that was silent for its session. So a leader believes in itself only for less
than a session since a commit that the broker took: one that was stopped meanwhile, and is no longer the owner, knows it
before it acts (ADR 0038).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

PARTITION: Final = 0
PROVE_EVERY_S: Final = 1.0
BELIEVED_S: Final = 4.0  # below the session of 6 s


class Leadership:
    """What this enforcer knows of its own place."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        """`clock_s` never goes back, and goes on while the process is stopped."""
        self._clock_s = clock_s
        self._owns = False
        self._proven_s: float | None = None

    @property
    def held(self) -> bool:
        """Whether this enforcer is the leader, beyond doubt."""
        return self._owns and self._proven_s is not None and self._clock_s() - self._proven_s < BELIEVED_S

    @property
    def due(self) -> bool:
        """Whether it is time to prove it again."""
        return self._owns and (self._proven_s is None or self._clock_s() - self._proven_s >= PROVE_EVERY_S)

    def assigned(self, partitions: Iterable[int]) -> None:
        """These partitions of `alerts` are ours, and no others."""
        self._owns, self._proven_s = PARTITION in set(partitions), None

    def revoked(self) -> None:
        """None is."""
        self._owns, self._proven_s = False, None

    def proven(self, asked_s: float) -> None:
        """The broker took a commit that was sent at `asked_s`."""
        self._proven_s = asked_s
