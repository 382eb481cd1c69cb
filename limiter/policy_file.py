"""Policy files -> `Policy`. Every error names file, line, field and the fix; nothing unknown is passed over.

A policy is one file or a directory of them, read as one: limits, routes and lists add up, and what there is one of
(tiers, brownout ...) stands in one of the files. docs/policies.md has every word.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from limiter.algorithms.concurrency import Slots
from limiter.algorithms.shape import Shape
from limiter.brownout_file import brownout
from limiter.conditions import ALWAYS, When
from limiter.errors import PolicyError, meant, one_of, place
from limiter.limit_file import LimitAt, limit, shape_and_lease
from limiter.lists import Entry
from limiter.policy import DEFAULT, PPM, Limit, Policy, Scope, Tier
from limiter.reading import At
from limiter.when_file import clients, entry, when
from schemas.documents import Document, Tree, documents, files_of, let_go, read
from schemas.policies import Files

T = TypeVar("T")
U = TypeVar("U")
LIMITS_MAX: Final = 1_000_000
ERRORS_MAX: Final = 100
MADE_MAX: Final = 100_000  # objects; about 5,000 limits
_SUMS: Final = ("limits", "default", "routes", "allow", "deny")
_ONCE: Final = ("name", "tiers", "default_tier", "anonymous_tier", "brownout")
_OWN: Final = ("version", "when")
WORDS: Final = (*_OWN, *_ONCE, *_SUMS)
MEMBERS: Final = ("keys", "users", "tenants")
_SETTING: Final = "FLOODWARDEN_POLICIES"
_BEGIN: Final = "start from deploy/policies/example.yaml; docs/policies.md has every word"
_LIMIT_FIX: Final = "the name of a limit under `limits` or `default`"


@dataclass(slots=True)
class Reading:
    """What was read, and what was wrong with it: limits that cannot be taken are left out, and told of."""

    errors: list[PolicyError] = field(default_factory=list)
    limits: list[LimitAt] = field(default_factory=list)
    default: list[LimitAt] = field(default_factory=list)
    routes: list[Scope] = field(default_factory=list)
    allow: list[tuple[Entry, At]] = field(default_factory=list)
    deny: list[tuple[Entry, At]] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    first: At | None = None  # the first document
    once: dict[str, At] = field(default_factory=dict)
    names: dict[str, LimitAt] = field(default_factory=dict)
    policy: Policy = DEFAULT

    def each(self, items: Iterable[T], read: Callable[[T], U]) -> list[U]:
        """What `read` makes of each of `items`; those it cannot take are left out, and told of."""
        made: list[U] = []
        for item in items:
            try:
                made.append(read(item))
            except PolicyError as error:
                self.wrong(error)
        return made

    def let_go(self, breathe: Callable[[], None]) -> None:
        """Frees all but `policy` and `errors`, bit by bit: all at once would hold up whatever else the process does."""
        for told in (self.limits, self.default):
            while told:
                self.names.pop(told.pop().limit.name, None)
                breathe()
        while self.trees:
            let_go(self.trees.pop(), breathe)

    def wrong(self, error: PolicyError) -> None:
        """Takes note of an error; beyond `ERRORS_MAX` it stops with this one."""
        self.errors.append(error)
        if len(self.errors) >= ERRORS_MAX:
            raise error


def load(path: Path | None, breathe: Callable[[], None] = lambda: None) -> Policy:
    """The policy in `path`, a file or a directory, or the built-in one when None.

    `breathe` is called after every limit, for a caller whose process has other work.

    Raises:
        PolicyError: the first thing that is wrong.
    """
    return DEFAULT if path is None else _loaded(partial(_of_files, path), breathe)


def load_files(files: Files, breathe: Callable[[], None] = lambda: None) -> Policy:
    """The policy that `files` are, as `load` has it of a directory. Raises `PolicyError`."""
    return _loaded(partial(_of_bytes, files), breathe)


def parse(data: bytes, file: str) -> Policy:
    """The policy in `data`; `file` is what errors call it, and its suffix says what it is. Raises `PolicyError`."""
    return _raised(reading(documents(data, file, begin=_BEGIN)))


def examine(what: Path | Files) -> Reading:
    """Everything in a path or in files, with lines whatever the format, and all that is wrong with it."""
    return reading(_of_files(what, lines=True) if isinstance(what, Path) else _of_bytes(what, lines=True))


def reading(found: Iterable[Document], breathe: Callable[[], None] = lambda: None) -> Reading:
    """What is in documents, and what is wrong in `errors`."""
    into = Reading()
    try:
        into.each(found, lambda document: _document(into, document, breathe))
        if not into.errors:
            into.policy = _policy(into, breathe)
    except PolicyError as error:
        if error not in into.errors:
            into.errors.append(error)
    return into


@contextlib.contextmanager
def no_collections() -> Iterator[None]:
    """So much new that stays would have the collector look at all of it, again and again: a third of the time.

    Nor does it look afterwards at what was made, if that is a lot: it would stop every check for long, to free nothing.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was and gc.get_count()[0] > MADE_MAX:
            gc.freeze()
        if was:
            gc.enable()


def _loaded(source: Callable[..., Iterator[Document]], breathe: Callable[[], None]) -> Policy:
    with no_collections():
        found = reading(source(breathe), breathe)
    found.let_go(breathe)
    if found.errors and found.errors[0].line == 0:
        again = reading(source(breathe, lines=True), breathe)  # JSON, as the YAML it also is, knows its lines
        again.let_go(breathe)
        found = again if again.errors and again.errors[0].field != "yaml" else found
    return _raised(found)


def _raised(found: Reading) -> Policy:
    if found.errors:
        raise found.errors[0]
    return found.policy


def _of_files(path: Path, breathe: Callable[[], None] = lambda: None, *, lines: bool = False) -> Iterator[Document]:
    for file in files_of(path):
        yield from documents(read(file, _SETTING), str(file), breathe, lines=lines, begin=_BEGIN)


def _of_bytes(files: Files, breathe: Callable[[], None] = lambda: None, *, lines: bool = False) -> Iterator[Document]:
    for name, data in sorted(files.items()):
        yield from documents(data, name, breathe, lines=lines, begin=_BEGIN)


def _document(into: Reading, document: Document, breathe: Callable[[], None]) -> None:
    at = At(document.file, "policy", document.tree, document.line)
    into.first = into.first or at
    into.trees.append(document.tree)
    fields = at.fields(*WORDS, required={"version": "1"})
    if fields["version"].text() != "1":
        raise fields["version"].wrong(f"{fields['version'].text()[:40]!r} is not known", "write `version: 1`")
    for name in _ONCE:
        if name in fields and name in into.once:
            first = into.once[name]
            raise fields[name].wrong(f"stands in {place(first.file, first.line)}, too", "keep one of them")
        if name in fields:
            into.once[name] = fields[name]
    whole = when(fields["when"]) if "when" in fields else ALWAYS
    for name, to in (("limits", into.limits), ("default", into.default)):
        to.extend(
            into.each(
                _section(into, fields, name, lambda at: at.items(breathe)), lambda at: _limit(into, at, whole, breathe)
            )
        )
    into.routes.extend(into.each(_section(into, fields, "routes", At.items), At.scope))
    for name, on in (("allow", into.allow), ("deny", into.deny)):
        told = _section(into, fields, name, partial(clients, rule=f"{name}list"))
        on.extend(into.each(told, lambda client: (entry(*client), client[0])))


def _section(into: Reading, fields: Mapping[str, At], name: str, read: Callable[[At], list[T]]) -> list[T]:
    """What stands under `name`; nothing where that is no list, which is told of."""
    return [item for items in into.each([fields[name]] if name in fields else [], read) for item in items]


def _limit(into: Reading, at: At, whole: When, breathe: Callable[[], None]) -> LimitAt:
    breathe()
    return _named(into, limit(at, whole))


def _named(into: Reading, found: LimitAt) -> LimitAt:
    name = found.limit.name
    if name in into.names:
        first = into.names[name].at
        where = place(first.file, first.line)
        raise found.at.wrong(f"the name {name!r} is taken by the limit at {where}", "names are unique")
    if len(into.names) >= LIMITS_MAX:
        raise found.at.wrong("is one limit too many", f"at most {LIMITS_MAX}")
    into.names[name] = found
    return found


def _policy(into: Reading, breathe: Callable[[], None]) -> Policy:
    once = into.once
    tiers = _tiers(into, once["tiers"]) if "tiers" in once else dict(DEFAULT.tiers)
    if into.errors:
        return DEFAULT
    limits = into.each(into.limits, lambda each: _known_tiers(each, tiers, breathe))
    answering = into.each(into.default, lambda each: _known_tiers(each, tiers, breathe))
    default = _tier_name(once.get("default_tier"), tiers, next(iter(tiers)))
    return Policy(
        name=once["name"].name() if "name" in once else "policy",
        limits=tuple(limits),
        tiers=tiers,
        default_tier=default,
        anonymous_tier=_tier_name(once.get("anonymous_tier"), tiers, default),
        routes=tuple(into.routes),
        brownout=brownout(once["brownout"], tiers) if "brownout" in once else DEFAULT.brownout,
        default=tuple(answering),
        allow=tuple(entry for entry, _ in into.allow),
        deny=tuple(entry for entry, _ in into.deny),
    )


def _known_tiers(found: LimitAt, tiers: dict[str, Tier], breathe: Callable[[], None]) -> Limit:
    breathe()
    for name, values in (*found.limit.when.any_of, *found.limit.when.none_of):
        if name == "tier" and (unknown := sorted(values - set(tiers))):
            raise found.at.wrong(f"asks for a tier {unknown[0][:80]!r}", one_of(unknown[0], tiers))
    return found.limit


def _tiers(into: Reading, at: At) -> dict[str, Tier]:
    named = at.fields()
    if not named:
        raise at.wrong("is empty", "name at least one tier, or leave `tiers` out")
    made = into.each(named.items(), lambda each: _tier(at.under(each[0], each[0], each[1].line), each[1], into.names))
    return {tier.name: tier for tier in made}


def _tier(name: At, at: At, limits: Mapping[str, LimitAt]) -> Tier:
    fields = at.fields("factor", "limits", *MEMBERS)
    own: list[tuple[str, Shape]] = []
    for each, said in (fields["limits"].fields() if "limits" in fields else {}).items():
        if each not in limits:
            raise said.wrong("is no limit of this policy", meant(each, limits) + _LIMIT_FIX)
        own.append((each, _own_shape(said, limits[each].limit)))
    return Tier(
        name.name(),
        fields["factor"].factor_ppm(1000) if "factor" in fields else PPM,
        tuple(own),
        *(fields[kind].texts() if kind in fields else frozenset() for kind in MEMBERS),
    )


def _own_shape(at: At, of: Limit) -> Shape:
    slots = of.shape.algorithm == Slots.algorithm
    parts = at.fields("rate", "burst", "queue", "concurrent", "lease")
    if "lease" in parts and not slots:
        raise parts["lease"].wrong("is the limit's own, for all tiers", "write it where the limit stands")
    shape = shape_and_lease(at, parts, of.shape.algorithm)[0]
    if of.cost > shape.limit:
        reason = f"holds {shape.limit} at most, and a request costs {of.cost}"
        raise at.wrong(reason, f"at least {of.cost}, or no request of the tier passes")
    return shape


def _tier_name(at: At | None, tiers: dict[str, Tier], otherwise: str) -> str:
    if at is None:
        return otherwise
    if at.text() not in tiers:
        raise at.wrong(f"{at.text()[:80]!r} is no tier of this policy", one_of(at.text(), tiers))
    return at.text()
