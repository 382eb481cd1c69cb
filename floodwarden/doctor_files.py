"""What `doctor` says of the files people write: rules, families and playbooks of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from detectors.family_file import with_own
from enforcer import playbook_file
from enforcer.plan_config import ladder_of
from floodwarden.diagnosis import Check, Level
from schemas.errors import FileError
from schemas.settings import PREFIX, Settings
from stream.rule_source import plan_of


def files(settings: Settings) -> Iterator[Check]:
    """Whether programs that read them would start; nothing of those that are not set."""
    for name, (set_by, read) in _READ.items():
        if not settings.model_fields_set.isdisjoint(set_by):
            try:
                yield Check(name, Level.OK, read(settings))
            except FileError as error:
                fix = "correct what " + " and ".join(f"{PREFIX}{one.upper()}" for one in set_by) + " says"
                yield Check(name, Level.FAIL, str(error), fix)


def _rules(settings: Settings) -> str:
    return f"{len(plan_of(settings).rules.rules)} rules"


def _families(settings: Settings) -> str:
    return f"{len(with_own(settings.families))} with the built-in ones"


def _playbooks(settings: Settings) -> str:
    return f"{len(playbook_file.load(settings.playbooks, ladder_of(settings)).plays)} plays with the built-in ones"


_READ: Final[dict[str, tuple[tuple[str, ...], Callable[[Settings], str]]]] = {
    "rules": (("rules", "bots"), _rules),
    "families": (("families",), _families),
    "playbooks": (("playbooks",), _playbooks),
}
