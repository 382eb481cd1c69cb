"""What is said of trained models between people, workers and the directory they share (`schemas.model_registry`)."""

from __future__ import annotations

import hashlib
import re
from typing import Final

import msgspec

DIGEST_CHARS: Final = 32
BYTES_MAX: Final = 64 << 20
REASON_CHARS_MAX: Final = 500
SHOWN_MAX: Final = 20  # who only one of two models alarms about, told by name
_AUTHOR: Final = r"[^\x00-\x1f\x7f]{1,120}"


class Version(msgspec.Struct, frozen=True):
    """A registered model, never changed: `digest` is of its file, `content` what alerts call it (`Model.version`).

    `metrics` are what the model says of how good it is, by name; none where it was not measured.
    """

    version: int
    digest: str
    content: str
    made_from: str
    span_s: int
    author: str
    reason: str
    at_ms: int
    metrics: dict[str, float] = {}


class Order(msgspec.Struct, frozen=True):
    """Which versions workers judge by and try beside, 0: none (then `live` is the one of the settings).

    Of two orders that of the higher serial holds. `forced`: promoted without having been replayed.
    """

    serial: int
    live: int
    shadow: int
    author: str
    reason: str
    at_ms: int
    forced: bool = False


class Word(msgspec.Struct, frozen=True):
    """What a worker says: the order it saw last, what it judges by and tries since when; why it took a version not."""

    node: str
    serial: int
    live: int
    shadow: int
    content: str
    since_ms: int
    at_ms: int
    refused: str = ""


class Counts(msgspec.Struct):
    """Incidents that both models alarm about, only the live one, only the other."""

    both: int = 0
    only_live: int = 0
    only_shadow: int = 0


class Incident(msgspec.Struct):
    """Somebody whom models alarm about: when each did, 0: not. `answer` and `sentence` of who said it first."""

    kind: str
    entity: str
    family: str
    live_ms: int
    shadow_ms: int
    last_ms: int
    answer: str
    sentence: str


class Agreement(msgspec.Struct):
    """How two models agreed from one event time to another; of those only one alarms about, the newest by name."""

    live: str
    shadow: str
    from_ms: int
    until_ms: int
    by_family: dict[str, Counts]
    only_live: list[Incident]
    only_shadow: list[Incident]

    @property
    def total(self) -> Counts:
        """Over all families."""
        of = self.by_family.values()
        return Counts(sum(c.both for c in of), sum(c.only_live for c in of), sum(c.only_shadow for c in of))


class Trial(msgspec.Struct, frozen=True):
    """A version replayed over recorded traffic beside the one in force."""

    version: int
    against: str
    source: str
    decisions: int
    agreement: Agreement
    author: str
    at_ms: int


class DriftDay(msgspec.Struct, frozen=True):
    """What one usage partition's good clients came to in a day, held to the model `content` (`detectors.drift.Day`).

    By kind and family: clients with an opportunity, their marks and others, the highest evidence.
    """

    content: str
    since_s: int
    until_s: int
    hours: int
    n: list[list[int]]
    counts: list[list[list[float]]]
    top: list[list[list[float]]]


def digest(data: bytes) -> str:
    """A name for exactly this file."""
    return hashlib.sha256(data).hexdigest()[:DIGEST_CHARS]


def summed(parts: list[Agreement]) -> Agreement | None:
    """Agreements of several usage partitions as one; None where there is none. They are of the same two models."""
    if not parts:
        return None
    by_family: dict[str, Counts] = {}
    for part in parts:
        for name, counts in part.by_family.items():
            held = by_family.setdefault(name, Counts())
            held.both += counts.both
            held.only_live += counts.only_live
            held.only_shadow += counts.only_shadow
    newest = {
        side: sorted((one for part in parts for one in getattr(part, side)), key=lambda one: -one.last_ms)[:SHOWN_MAX]
        for side in ("only_live", "only_shadow")
    }
    first = min(part.from_ms for part in parts)
    last = max(part.until_ms for part in parts)
    return Agreement(parts[0].live, parts[0].shadow, first, last, by_family, **newest)


def author_fault(author: str, reason: str) -> str:
    """What is wrong with who says so and why; empty where nothing is."""
    if not re.fullmatch(_AUTHOR, author):
        return "who does it is to be 1 to 120 printable characters"
    if len(reason) > REASON_CHARS_MAX or not reason.isprintable():
        return f"a reason is at most {REASON_CHARS_MAX} characters, in one line"
    return ""
