"""What people said of clients, held to what was found and done: told apart, and no other figure changes by it.

A file of labels has one JSON object a line, as the API tells them: `{"subject": "ip:203.0.113.7", "label":
"false_positive"}`, with `family` where only what that family says of him is meant. Of two about the same the later one
holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa

from enforcer.store.labels import FALSE_POSITIVE, TRUE_POSITIVE
from floodwarden.effects import Effects
from floodwarden.errors import CommandError
from floodwarden.evaluation.good import HARMS, Fate
from schemas.action import Action, ActionKind, ActionStatus
from schemas.alert import Alert
from schemas.networks import client
from schemas.targets import parse_target

COLUMNS: Final = {"ip": "ip", "key": "key_id", "user": "user"}
LABELS_MAX: Final = 100_000
Who = tuple[str, str]  # kind and value of a client
Words = dict[tuple[Who, str], bool]  # of whom, by which family ("": any): rightly found, or wrongly


class _Line(msgspec.Struct):
    subject: str
    label: str
    family: str = ""


@dataclass(slots=True)
class Said:
    """Labels of clients, and what befell these clients in one trace."""

    words: Words = field(default_factory=dict)
    _fates: dict[Who, Fate] = field(default_factory=lambda: defaultdict(Fate))

    def take(self, batch: pa.RecordBatch, effects: Effects) -> None:
        """Count a slice's rows."""
        who = {who for who, _ in self.words}
        for kind, column in COLUMNS.items():
            texts = batch.column(column)
            codes = texts.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            for code, value in enumerate(texts.dictionary.to_pylist()):
                for name in {value, client(value)} if kind == "ip" and value else (value,):
                    if (kind, name) in who:
                        self._fates[kind, name].take(effects[codes == code])

    def record(self, alerts: Iterable[Alert], actions: Iterable[Action]) -> dict[str, dict[str, int]]:
        """By word: labels, those of clients who came, of these found and answered, and what befell their decisions."""
        told = {((str(a.entity.kind), a.entity.value), kind) for a in alerts for kind in ("", a.kind)}
        done = [a for a in actions if a.kind is not ActionKind.NOTICE and a.status is ActionStatus.ACTIVE]
        answered = {(str(a.target.kind), a.target.value) for a in done}
        out = {}
        for name, true in (("true_positives", True), ("false_positives", False)):
            mine = [about for about, word in self.words.items() if word is true]
            came = [about for about in mine if about[0] in self._fates]
            whole = Fate()
            for who in {who for who, _ in came}:
                whole.add(self._fates[who])
            harms = {harm: whole.hit(harm) for harm in HARMS}
            found = sum(about in told for about in came)
            acted = sum(who in answered for who, _ in came)
            counts = {"labels": len(mine), "seen": len(came), "found": found, "answered": acted}
            out[name] = counts | {"decisions": whole.decisions} | harms
        return out


def summed(records: Sequence[dict[str, dict[str, int]]]) -> dict[str, dict[str, int]]:
    """Records of several traces; a label counts in each."""
    return {name: {key: sum(one[name][key] for one in records) for key in records[0][name]} for name in records[0]}


def read(path: Path) -> Words:
    """The labels in a file.

    Raises:
        CommandError: it cannot be read, or a line is none of a client: which, and what would do.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path}: cannot be read ({error})") from error
    out: Words = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            out |= _word(f"{path}:{number}", line)
    if len(out) > LABELS_MAX:
        raise CommandError(f"{path}: {len(out):,} labels; at most {LABELS_MAX:,}")
    return out


def _word(where: str, line: str) -> Words:
    try:
        said = msgspec.json.decode(line, type=_Line)
        about = parse_target(said.subject)
    except (msgspec.DecodeError, ValueError) as error:
        raise CommandError(f"{where}: no label ({error}); write {_example()}") from error
    if about.kind not in COLUMNS:
        raise CommandError(
            f"{where}: subject: {said.subject!r} is no client; write ip:, key: or user: before its value"
        )
    if said.label not in (TRUE_POSITIVE, FALSE_POSITIVE):
        raise CommandError(f"{where}: label: {said.label!r}; write {TRUE_POSITIVE} or {FALSE_POSITIVE}")
    return {((str(about.kind), about.value), said.family): said.label == TRUE_POSITIVE}


def _example() -> str:
    return '{"subject": "ip:203.0.113.7", "label": "false_positive"}'
