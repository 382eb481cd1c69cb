"""`FLOODWARDEN_BROWNOUT`: when a brownout begins and ends by itself, as people write it (docs/brownout.md).

Every error names file, line, field and the fix.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from enforcer.brownout import LEVELS, QUARTERS, Marks, Rules
from schemas.documents import documents, read
from schemas.errors import FileError, SettingsError, one_of
from schemas.reading import At
from schemas.settings import Settings

SETTING: Final = "FLOODWARDEN_BROWNOUT"
MODES: Final = ("auto", "observe", "off")
_BEGIN: Final = "start from deploy/brownout.yaml; docs/brownout.md has every word"
_SECONDS: Final = {
    "window_seconds": ("window_s", 1, 60),
    "usual_seconds": ("usual_s", 5, 3600),
    "enter_seconds": ("enter_s", 1, 600),
    "dwell_seconds": ("dwell_s", 1, 3600),
    "calm_seconds": ("calm_s", 5, 3600),
    "quarter_seconds": ("quarter_s", 1, 600),
    "seconds_max": ("seconds_max", 60, 86_400),
    "rest_seconds": ("rest_s", 0, 86_400),
    "requests_min": ("requests_min", 1, 1_000_000),
    "latency_ms_min": ("latency_ms_min", 1, 60_000),
    "latency_per_second_min": ("latency_per_second_min", 1, 1_000_000),
    "level_max": ("level_max", 1, LEVELS),
}
_MARKS: Final = {"errors": (0.001, 1.0), "latency": (1.0, 1000.0), "concurrent": (1.0, 1e9), "queue": (1.0, 1e9)}


def load(said: str) -> Rules | None:
    """The built-in rules in one of the modes, or those of a file; None: a brownout never begins by itself.

    Raises:
        FileError: the first thing that is wrong.
    """
    if said in MODES:
        return None if said == "off" else Rules(acts=said == "auto")
    return parse(read(Path(said), f"{SETTING} (auto, observe, off, or a file)"), said)


def rules_of(settings: Settings) -> Rules | None:
    """What `load` makes of the settings.

    Raises:
        SettingsError: rules that cannot be taken.
    """
    try:
        return load(settings.brownout)
    except FileError as error:
        raise SettingsError(f"{SETTING}: {error}") from error


def parse(data: bytes, file: str) -> Rules | None:
    """The rules in `data`; `file` is what errors call it. Raises `FileError`."""
    found = list(documents(data, file, lines=True, begin=_BEGIN))
    if len(found) != 1:
        raise FileError(file, 1, "brownout", f"has {len(found)} documents", "one, without `---`")
    at = At(file, "brownout", found[0].tree, found[0].line)
    fields = at.fields("version", "mode", "enter", "leave", *_SECONDS, required={"version": "1"})
    fields["version"].whole(1, 1)
    mode = fields["mode"].text() if "mode" in fields else MODES[0]
    if mode not in MODES:
        raise fields["mode"].wrong(f"{mode[:40]!r} is not known", one_of(mode, MODES))
    numbers = {name: fields[word].whole(low, high) for word, (name, low, high) in _SECONDS.items() if word in fields}
    rules = replace(Rules(acts=mode != "observe"), **numbers)  # type: ignore[arg-type] # all of these are whole
    rules = _with_marks(rules, fields)
    way_s = LEVELS * QUARTERS * rules.quarter_s
    if rules.seconds_max < way_s + rules.calm_s:
        fix = f"at least {way_s + rules.calm_s}: `calm_seconds`, and {LEVELS * QUARTERS} times `quarter_seconds`"
        raise fields.get("seconds_max", at).wrong("is over before its way back is", fix)
    return None if mode == "off" else rules


def _with_marks(rules: Rules, fields: dict[str, At]) -> Rules:
    if "leave" in fields and "enter" not in fields:
        raise fields["leave"].wrong("says when it is calm, and nothing says when it is not", "add `enter`")
    if "enter" not in fields:
        return rules
    enter, leave = (_marks(fields[word]) if word in fields else {} for word in ("enter", "leave"))
    if not enter:
        raise fields["enter"].wrong("is empty", "add `errors: 0.2`, or `mode: off`")
    for name, (value, at) in leave.items():
        if name not in enter:
            raise at.wrong("is of no mark of `enter`", f"add `{name}` there, or take it out here")
        if value >= enter[name][0]:
            raise at.wrong(f"{value:g} is not below the {enter[name][0]:g} of `enter`", "a third of it, say")
    for name, (_, at) in enter.items():
        if name not in leave:
            raise at.wrong("has no mark to leave by, and would go on and off", f"add `leave: {{ {name}: ... }}`")
    return replace(
        rules,
        enter=Marks(**{n: v for n, (v, _) in enter.items()}),
        leave=Marks(**{n: v for n, (v, _) in leave.items()}),
    )


def _marks(at: At) -> dict[str, tuple[float, At]]:
    return {name: (each.number(*_MARKS[name]), each) for name, each in at.fields(*_MARKS).items()}
