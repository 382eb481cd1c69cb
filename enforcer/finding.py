"""Which actions of the snapshot a command wants: by their text, for of 100,000 only a few are worth reading."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from enforcer import records
from schemas.action import Action, ActionKind, Target

PAGE: Final = 1_000
_META: Final = frozenset({"version", "id", "epoch"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """Actions of one of `kinds`, of `owner`, on `target`, whose uid begins so; what is not given is any.

    `also` are kinds that are wanted whatever else they have.
    """

    kinds: Sequence[ActionKind] = ()
    owner: str = ""
    target: Target | None = None
    uid: str = ""
    also: Sequence[ActionKind] = ()

    def __contains__(self, action: Action) -> bool:
        if action.kind in self.also:
            return True
        return (
            (not self.kinds or action.kind in self.kinds)
            and self.owner in ("", action.owner)
            and self.target in (None, action.target)
            and action.uid.startswith(self.uid)
        )

    def by_text(self) -> Callable[[str], bool]:
        """Whether an action of that JSON text may be wanted: what need not be read is told apart by a word or two."""
        given = {
            "owner": (self.owner, '"'),
            "uid": (self.uid, ""),
            "value": (self.target.value if self.target else "", '"'),
        }
        needed = [word for name, (value, end) in given.items() if (word := _word(name, value, end))]
        kinds = [_word("kind", kind, '"') for kind in self.kinds]
        also = [_word("kind", kind, '"') for kind in self.also]

        def may_be(text: str) -> bool:
            if all(word in text for word in needed) and (not kinds or any(word in text for word in kinds)):
                return True
            return any(word in text for word in also)

        return may_be


def texts(redis: Any, key: str, wanted: Wanted) -> Iterator[str]:
    """The snapshot's actions, as JSON, that may be `wanted`; one may come twice. `redis` answers text."""
    may_be = wanted.by_text()
    for field, text in redis.hscan_iter(key, count=PAGE):
        if field not in _META and may_be(text):
            yield text


def actions(found: Iterable[str], wanted: Wanted, now_ms: int) -> list[Action]:
    """Those of `found` that are `wanted` and have not run out at `now_ms`, each once.

    Raises:
        BadMessageError: one is of another version.
    """
    read = (records.action(text.encode()) for text in found)
    return list({a.uid: a for a in read if a.expires_ms > now_ms and a in wanted}.values())


def _word(name: str, value: str, end: str) -> str:
    """How `value` stands in the text; nothing where it stands escaped, for then the text is no help."""
    plain = value.isascii() and value.isprintable() and '"' not in value and "\\" not in value
    return f'"{name}":"{value}{end}' if value and plain else ""
