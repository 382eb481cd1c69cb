"""Rules and crawlers from where they are kept: the files that come with us, and the operator's own."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Final

from detectors import bots as crawlers
from detectors.bots import Bots
from detectors.rule_file import gathered
from detectors.rules import Ruleset
from schemas.errors import FileError
from schemas.ranges import Interval, ranges
from schemas.settings import PREFIX, Settings
from stream.plan import Plan

BUILTIN: Final = "builtin"
SHIPPED: Final = {"builtin": "rules.yaml", "crowdsec": "crowdsec.yaml"}  # by the name FLOODWARDEN_RULES has for them
_ALWAYS: Final = ("signatures.yaml", "expected.yaml")
_BOTS: Final = "bots.yaml"
_FIX: Final = f"a file, a directory of *.yaml, or one of {', '.join(SHIPPED)}; check {PREFIX}RULES"


def plan_of(settings: Settings) -> Plan:
    """The rules and crawlers that settings ask for.

    Raises:
        FileError: a file cannot be read or holds an error; it names the line and the fix.
    """
    ours = settings.bots is None and {name.strip() for name in settings.rules.split(",")} <= {*SHIPPED, "none", ""}
    if ours:
        return _plan(settings.rules)
    return Plan.of(rules(settings.rules), Bots(known_bots(), published(settings.bots) if settings.bots else None))


def shipped() -> Plan:
    """The rules that are in force unless told otherwise."""
    return _plan(BUILTIN)


def without_rules() -> Plan:
    """No rule, but errors that are a matter of course are still none: what is normal is learned so."""
    return _plan("none")


@lru_cache(maxsize=8)
def _plan(names: str) -> Plan:
    """Of files that come with us, and so do not change."""
    return Plan.of(rules(names), Bots(known_bots()))


def rules(names: str) -> Ruleset:
    """The set of some names, comma separated: of ours, or of files. Raises `FileError`."""
    files = [(name, _ours(name)) for name in _ALWAYS]
    for name in (part.strip() for part in names.split(",")):
        if name in SHIPPED:
            files.append((SHIPPED[name], _ours(SHIPPED[name])))
        elif name and name != "none":
            files += [(str(path), _read(path)) for path in _files(Path(name))]
    return gathered(files)


def known_bots() -> tuple[crawlers.Bot, ...]:
    """The crawlers we know by name."""
    return crawlers.declared(_ours(_BOTS), _BOTS)


def published(folder: Path) -> dict[str, tuple[Interval, ...]]:
    """Ranges in `folder`, a file a crawler, named as it is. Raises `FileError`."""
    known = {bot.name for bot in known_bots()}
    found: dict[str, tuple[Interval, ...]] = {}
    for path in sorted(folder.glob("*")):
        if path.suffix not in (".json", ".txt") or path.stem not in known:
            fix = f"NAME.json or NAME.txt, NAME one of {', '.join(sorted(known))}"
            raise FileError(str(path), 0, "file", "is of no crawler we know", fix)
        found[path.stem] = ranges(_read(path), str(path))
    if not found:
        raise FileError(str(folder), 0, "directory", "holds no ranges", f"googlebot.json; check {PREFIX}BOTS")
    return found


def _ours(name: str) -> bytes:
    return (resources.files("detectors") / "data" / "rules" / name).read_bytes()


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(each for each in path.iterdir() if each.suffix in (".yaml", ".yml"))
    if not found:
        raise FileError(str(path), 0, "directory", "holds no rules", _FIX)
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(str(path), 0, "file", error.strerror or str(error), _FIX) from error
