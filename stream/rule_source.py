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
from schemas.crawlers import load as origins_of_crawlers
from schemas.errors import FileError
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
    return Plan.of(rules(settings.rules), bots(settings.bots))


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


def known_bots(folder: Path | None = None) -> tuple[crawlers.Bot, ...]:
    """The crawlers we know by name, and those declared in `folder`, which go before ours. Raises `FileError`."""
    own: list[crawlers.Bot] = []
    for path in _yaml(folder) if folder is not None else ():
        own += crawlers.declared(_read(path), str(path))
    names = {bot.name for bot in own}
    return (*own, *(bot for bot in crawlers.declared(_ours(_BOTS), _BOTS) if bot.name not in names))


def bots(folder: Path | None) -> Bots:
    """The crawlers, and where they come from as `folder` says. Raises `FileError`."""
    known, origins = known_bots(folder), origins_of_crawlers(folder)
    names = {bot.name for bot in known}
    for name in origins.all:
        if name not in names:
            fix = f"one of {', '.join(sorted(names))}; or declare it in a *.yaml beside it (docs/rules.md)"
            raise FileError(f"{folder}", 0, "file", f"{name!r} is no crawler we know", fix)
    return Bots(known, origins)


def _ours(name: str) -> bytes:
    return (resources.files("detectors") / "data" / "rules" / name).read_bytes()


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = _yaml(path)
    if not found:
        raise FileError(str(path), 0, "directory", "holds no rules", _FIX)
    return found


def _yaml(folder: Path) -> list[Path]:
    return sorted(each for each in folder.glob("*") if each.suffix in (".yaml", ".yml"))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(str(path), 0, "file", error.strerror or str(error), _FIX) from error
