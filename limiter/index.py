"""Limits found by look-ups: what a request costs to place does not grow with how many limits there are. Pure.

Limits are filed by the names their conditions ask for by value (`tenant`, `header:x-plan`, `ip` for networks ...): a
table for each set of names in use and each scope, from values to limits. A request is looked up once in each table
that its route leads to. What no table settles (hours, dates, `not`) is asked of the few limits that were found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from operator import attrgetter
from typing import Final

from limiter.algorithms.shape import Shape
from limiter.conditions import ALWAYS, NOWHERE, At, Networks, When
from limiter.facts import Facts, Who, who_of
from limiter.policy import Limit, Scope, State

FILED_MAX: Final = 1024  # entries one limit may have in a table; names beyond that are asked of the limit itself
Names = tuple[str, ...]
_place: Final = attrgetter("at")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a limit says but for its name, as large sets repeat it: whose bucket it is, what no table has settled.

    One for all limits that say the same, so that it is at hand: each object among 100,000 is memory that is not.
    """

    who: Who
    rest: When | None
    cost: int
    shape: Shape
    group: str | None
    priority: int
    state: State
    share_ppm: int
    lease: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """One limit made ready, and its place in the file; small, and all that a check reads of it, for nothing is near."""

    kind: Kind
    name: str
    at: int
    scope: int

    @property
    def shape(self) -> Shape:
        """As the policy has it."""
        return self.kind.shape

    @property
    def cost(self) -> int:
        """Tokens a request takes."""
        return self.kind.cost

    @property
    def group(self) -> str | None:
        """Of its limits that fit only the one of the highest priority applies."""
        return self.kind.group

    @property
    def priority(self) -> int:
        """In its group."""
        return self.kind.priority

    @property
    def state(self) -> State:
        """How far it is in force."""
        return self.kind.state

    @property
    def share_ppm(self) -> int:
        """Of a canary's clients."""
        return self.kind.share_ppm

    @property
    def lease(self) -> bool:
        """Whether nodes may hold tokens of it in advance."""
        return self.kind.lease


# By the value of a name, or by the values of several: the one rule that asks for it, or all of them by their scopes. So
# a request is looked up once whatever routes its limits are on, and a rule that stands alone is found without more ado.
Table = dict[object, "Rule | dict[int, list[Rule]]"]


@dataclass(frozen=True, slots=True)
class Fitting:
    """What a method and route lead to: rules without more ado, and tables to look up in, for rules of some scopes."""

    plain: tuple[Rule, ...]
    tables: tuple[tuple[Names, Table, frozenset[int]], ...]
    networks: Networks

    def rules(self, facts: Facts) -> Sequence[Rule]:
        """Every rule whose filed names fit, in the file's order; `rest` is still to be asked."""
        found: list[Rule] = []
        for names, table, scopes in self.tables:
            if len(names) == 1 and names[0] != "ip":
                _add(found, table.get(facts.value(names[0])), scopes)
            else:
                for key in self._keys(names, facts):
                    _add(found, table.get(key), scopes)
        if not found:
            return self.plain
        found += self.plain
        found.sort(key=_place)
        if self.networks:  # a limit is filed under each of its networks, and they may overlap
            return list({rule.at: rule for rule in found}.values())
        return found

    def _keys(self, names: Names, facts: Facts) -> Iterable[object]:
        around = self.networks.around(facts.identity.ip) if "ip" in names else []
        found = product(*(around if name == "ip" else (facts.value(name),) for name in names))
        return found if len(names) > 1 else (key for (key,) in found)


def _add(found: list[Rule], more: Rule | dict[int, list[Rule]] | None, scopes: frozenset[int]) -> None:
    if more is None:
        return
    if isinstance(more, Rule):
        if more.scope in scopes:
            found.append(more)
        return
    for scope in scopes if len(scopes) <= len(more) else more.keys() & scopes:
        found += more.get(scope, ())


class Index:
    """Limits by scope and by names."""

    def __init__(self, limits: Iterable[Limit], breathe: Callable[[], None] = lambda: None) -> None:
        self._scopes = _Scopes()
        self._tables: dict[Names, Table] = {}
        self._plain: dict[int, list[Rule]] = {}  # by scope
        self._names: dict[int, set[Names]] = {}  # of a scope: the tables that rules of it are in
        members: set[At] = set()
        kinds = _Kinds()
        for at, limit in enumerate(limits):
            breathe()
            self._file(at, limit, kinds)
            members |= limit.when.inside.members
        self._networks = Networks(frozenset(members))

    def fitting(self, method: str, route: str) -> Fitting:
        """What a request by `method` on the template `route` may be under."""
        plain: list[Rule] = []
        scopes: dict[Names, set[int]] = {}
        for number in self._scopes.covering(method, route):
            plain += self._plain.get(number, ())
            for names in self._names.get(number, ()):
                scopes.setdefault(names, set()).add(number)
        tables = ((names, self._tables[names], frozenset(numbers)) for names, numbers in scopes.items())
        return Fitting(tuple(sorted(plain, key=_place)), tuple(tables), self._networks)

    def empty(self, breathe: Callable[[], None]) -> None:
        """Lets go of all limits, bit by bit; it must not be asked any more."""
        for table in self._tables.values():
            while table:
                _, more = table.popitem()
                while isinstance(more, dict) and more:
                    more.popitem()
                    breathe()
                breathe()

    def _file(self, at: int, limit: Limit, kinds: _Kinds) -> None:
        names, keys, rest = _filing(limit.when)
        scope = self._scopes.number(limit.scope)
        kind = kinds.of(limit, None if rest == ALWAYS else rest)
        if not names:
            self._plain.setdefault(scope, []).append(Rule(kind, limit.name, at, scope))
            return
        self._names.setdefault(scope, set()).add(names)
        table = self._tables.setdefault(names, {})
        ready = None
        for values in keys:
            key = values[0] if len(values) == 1 else values
            before = table.get(key)
            if ready is None:
                if before is None and isinstance(key, str):
                    key = key.encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass")
                ready = Rule(
                    kind, limit.name, at, scope
                )  # just behind its key in memory: what has one at hand has both
            if before is None:
                table[key] = ready
                continue
            if isinstance(before, Rule):
                before = table[key] = {before.scope: [before]}
            before.setdefault(scope, []).append(ready)


class _Kinds:
    """Kinds as they are met, each once."""

    def __init__(self) -> None:
        self._whos: dict[str, Who] = {}
        self._kinds: dict[tuple[object, ...], Kind] = {}

    def of(self, limit: Limit, rest: When | None) -> Kind:
        more = limit.group, limit.priority, limit.state, limit.share_ppm, limit.lease
        told = (limit.per, rest, limit.cost, limit.shape, *more)
        kind = self._kinds.get(told)
        if kind is None:
            who = self._whos.setdefault(limit.per, who_of(limit.per))
            kind = self._kinds[told] = Kind(who, rest, limit.cost, limit.shape, *more)
        return kind


class _Scopes:
    """Distinct scopes, numbered, found by the literal text that their patterns begin with."""

    def __init__(self) -> None:
        self._numbers: dict[Scope, int] = {}
        self._by_head: dict[str, list[Scope]] = {}
        self._lengths: tuple[int, ...] = ()
        self._whole: dict[str, list[Scope]] = {}

    def number(self, scope: Scope) -> int:
        number = self._numbers.get(scope)
        if number is None:
            number = self._numbers[scope] = len(self._numbers)
            head, star, _ = scope.route.partition("*")
            if star:
                self._by_head.setdefault(head, []).append(scope)
                if len(head) not in self._lengths:
                    self._lengths = tuple(sorted((*self._lengths, len(head))))
            else:
                self._whole.setdefault(scope.route, []).append(scope)
        return number

    def covering(self, method: str, route: str) -> list[int]:
        """The numbers of the scopes that cover a request."""
        tried = list(self._whole.get(route, ()))
        for length in self._lengths:
            if length <= len(route):
                tried.extend(self._by_head.get(route[:length], ()))
        return [self._numbers[scope] for scope in tried if scope.covers(method, route)]


def _filing(when: When) -> tuple[Names, Iterable[tuple[object, ...]], When]:
    """Under which names and keys a limit is filed, and what is left to ask."""
    if when is ALWAYS:
        return (), ((),), ALWAYS
    filed: list[tuple[str, frozenset[object]]] = []
    entries, any_of, inside = 1, [], when.inside
    choices: list[tuple[str, frozenset[object]]] = [(name, frozenset(values)) for name, values in when.any_of]
    if when.inside:
        choices.append(("ip", frozenset(when.inside.members)))
    for name, values in sorted(choices, key=lambda choice: len(choice[1])):
        if filed and entries * len(values) > FILED_MAX:
            any_of += [one for one in when.any_of if one[0] == name]
            continue
        entries *= len(values)
        filed.append((name, values))
        if name == "ip":
            inside = NOWHERE
    filed.sort(key=lambda choice: choice[0])
    rest = replace(when, any_of=tuple(any_of), inside=inside)
    return tuple(name for name, _ in filed), product(*(values for _, values in filed)), rest
