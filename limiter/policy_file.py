"""YAML -> `Policy`. Every error names file, line, field and the fix; nothing unknown is passed over.

The format is documented, by example, in deploy/policies/example.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import yaml

from limiter.algorithms.shape import Shape
from limiter.algorithms.token_bucket import Bucket
from limiter.algorithms.words import WORDS, lease_from, shape_from
from limiter.errors import PolicyError, ShapeError
from limiter.policy import DEFAULT, PPM, Brownout, Level, Limit, Per, Policy, Scope, Tier

T = TypeVar("T")
BYTES_MAX: Final = 1 << 20
ENTRIES_MAX: Final = 1_000
_SCOPE: Final = re.compile(r"(?:([A-Z]+(?:,[A-Z]+)*)\s+)?(\*|[/*]\S*)")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


def load(path: Path | None) -> Policy:
    """The policy in `path`, or the built-in one when None.

    Raises:
        PolicyError: the file cannot be read or taken.
    """
    if path is None:
        return DEFAULT
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PolicyError(
            str(path), 0, "file", error.strerror or str(error), "check FLOODWARDEN_POLICIES and the file's permissions"
        ) from error
    return parse(data, str(path))


def parse(data: bytes, file: str) -> Policy:
    """The policy in `data`; `file` is only what errors call it."""
    if len(data) > BYTES_MAX:
        raise PolicyError(file, 0, "file", f"{len(data)} bytes", f"at most {BYTES_MAX}")
    try:
        node = yaml.compose(data.decode("utf-8"), yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise PolicyError(file, 0, "file", "is not UTF-8", "save it as UTF-8") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise PolicyError(
            file, line, "yaml", error.problem or "cannot be read", "mind indentation and quotes"
        ) from error
    except yaml.YAMLError as error:
        raise PolicyError(file, 0, "yaml", str(error), "remove control characters") from error
    except RecursionError as error:
        raise PolicyError(file, 0, "yaml", "nested too deep", "a policy has four levels") from error
    if node is None:
        raise PolicyError(file, 1, "file", "is empty", "start from deploy/policies/example.yaml")
    return _policy(_At(file, "policy", node))


@dataclass(frozen=True, slots=True)
class _At:
    """A YAML node and where it stands."""

    file: str
    field: str
    node: yaml.Node

    def wrong(self, reason: str, fix: str) -> PolicyError:
        return PolicyError(self.file, self.node.start_mark.line + 1, self.field, reason, fix)

    def fields(self, *known: str, required: tuple[str, ...] = ()) -> dict[str, _At]:
        """A mapping's entries by name; with `known`, any other name is an error."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.wrong("is not a mapping", "write `name: value` lines below it")
        if len(self.node.value) > ENTRIES_MAX:
            raise self.wrong(f"has {len(self.node.value)} entries", f"at most {ENTRIES_MAX}")
        found: dict[str, _At] = {}
        for key, value in self.node.value:
            name = str(key.value)
            if known and name not in known:
                raise _At(self.file, f"{self.field}.{name}", key).wrong("is not known", "one of " + ", ".join(known))
            if name in found:
                raise _At(self.file, f"{self.field}.{name}", key).wrong("stands twice", "keep one of them")
            found[name] = _At(self.file, f"{self.field}.{name}", value)
        for name in required:
            if name not in found:
                raise self.wrong(f"has no `{name}`", f"add `{name}: ...`")
        return found

    def items(self) -> list[_At]:
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.wrong("is not a list", "write `- item` lines below it")
        if len(self.node.value) > ENTRIES_MAX:
            raise self.wrong(f"has {len(self.node.value)} entries", f"at most {ENTRIES_MAX}")
        return [_At(self.file, f"{self.field}[{n}]", item) for n, item in enumerate(self.node.value)]

    def text(self) -> str:
        if not isinstance(self.node, yaml.ScalarNode):
            raise self.wrong("is not a single value", "write it on the same line")
        return str(self.node.value)

    def name(self) -> str:
        if not _NAME.fullmatch(self.text()):
            raise self.wrong(f"{self.text()[:80]!r} is no name", "lower-case letters, digits, . _ - (at most 64)")
        return self.text()

    def whole(self, low: int, high: int) -> int:
        text = self.text()
        if not re.fullmatch(r"-?\d{1,15}", text) or not low <= int(text) <= high:
            raise self.wrong(f"{text[:40]!r} is no number we can take", f"a whole number from {low} to {high}")
        return int(text)

    def factor_ppm(self, high: int) -> int:
        text = self.text()
        if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text) or not 1 <= round(float(text) * PPM) <= high * PPM:
            raise self.wrong(f"{text[:40]!r} is no factor", f"a number above 0, at most {high}, with up to 6 decimals")
        return round(float(text) * PPM)

    def scope(self) -> Scope:
        match = _SCOPE.fullmatch(self.text().strip())
        if match is None:
            raise self.wrong(
                f"{self.text()[:80]!r} is no route", "write `/items/{id}`, `GET,POST /items/*` or `*`, in quotes"
            )
        return Scope(match[2], frozenset((match[1] or "").split(",")) - {""})

    def names(self) -> frozenset[str]:
        return frozenset(item.text() for item in self.items())


def _policy(at: _At) -> Policy:
    fields = at.fields(
        "version", "name", "routes", "limits", "tiers", "default_tier", "anonymous_tier", "brownout",
        required=("version", "limits"),
    )  # fmt: skip
    fields["version"].whole(1, 1)
    limits = _limits(fields["limits"])
    tiers = (
        _tiers(fields["tiers"], {limit.name: limit for limit in limits}) if "tiers" in fields else dict(DEFAULT.tiers)
    )
    default = _tier_name(fields.get("default_tier"), tiers, next(iter(tiers)))
    return Policy(
        name=fields["name"].name() if "name" in fields else "policy",
        limits=limits,
        tiers=tiers,
        default_tier=default,
        anonymous_tier=_tier_name(fields.get("anonymous_tier"), tiers, default),
        routes=tuple(item.scope() for item in fields["routes"].items()) if "routes" in fields else (),
        brownout=_brownout(fields["brownout"], tiers) if "brownout" in fields else DEFAULT.brownout,
    )


def _limits(at: _At) -> tuple[Limit, ...]:
    limits = [_limit(item) for item in at.items()]
    seen: set[str] = set()
    for limit, item in zip(limits, at.items(), strict=True):
        if limit.name in seen:
            raise item.wrong(f"the name {limit.name!r} is taken by another limit", "names are unique")
        seen.add(limit.name)
    return tuple(limits)


def _limit(at: _At) -> Limit:
    fields = at.fields("name", "per", "route", "cost", *WORDS, required=("name", "per"))
    per = fields["per"].text()
    if per not in Per.__members__.values():
        raise fields["per"].wrong(f"{per[:40]!r} is not known", "one of " + ", ".join(Per))
    shape, lease = _shape(at, fields)
    cost = fields["cost"].whole(0, 1_000_000) if "cost" in fields else 1
    if cost > shape.limit:
        fix = "raise `burst`" if shape.algorithm == Bucket.algorithm else f"at most {shape.limit}"
        raise fields["cost"].wrong(f"{cost} is above the {shape.limit} there ever are", f"nothing would pass: {fix}")
    scope = fields["route"].scope() if "route" in fields else Scope()
    return Limit(fields["name"].name(), Per(per), shape, scope, cost, lease=lease)


def _shape(at: _At, fields: dict[str, _At], algorithm: str = Bucket.algorithm) -> tuple[Shape, bool]:
    words = {word: fields[word].text() for word in WORDS if word in fields}
    try:
        shape = shape_from(words, algorithm)
        return shape, lease_from(words, shape)
    except ShapeError as error:
        if error.field in fields:
            raise fields[error.field].wrong(error.reason, error.fix) from error
        if error.reason == "is missing":
            raise at.wrong(f"has no `{error.field}`", f"add `{error.field}`: {error.fix}") from error
        raise fields.get("rate", at).wrong(f"{error.field} {error.reason}", error.fix) from error


def _tiers(at: _At, limits: dict[str, Limit]) -> dict[str, Tier]:
    tiers: dict[str, Tier] = {}
    for name, item in at.fields().items():
        fields = item.fields("factor", "limits", "keys", "users", "tenants")
        own: list[tuple[str, Shape]] = []
        for limit, entry in (fields["limits"].fields() if "limits" in fields else {}).items():
            if limit not in limits:
                raise entry.wrong("is no limit of this policy", "one of " + ", ".join(sorted(limits)))
            parts = entry.fields("rate", "burst", "queue", "concurrent", "lease")
            own.append((limit, _shape(entry, parts, limits[limit].shape.algorithm)[0]))
        tiers[_key_name(item, name)] = Tier(
            name,
            fields["factor"].factor_ppm(1000) if "factor" in fields else PPM,
            tuple(own),
            *(fields[kind].names() if kind in fields else frozenset() for kind in ("keys", "users", "tenants")),
        )
    if not tiers:
        raise at.wrong("is empty", "name at least one tier, or leave `tiers` out")
    return tiers


def _key_name(at: _At, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise at.wrong(f"{name[:80]!r} is no name", "lower-case letters, digits, . _ - (at most 64)")
    return name


def _tier_name(at: _At | None, tiers: dict[str, Tier], otherwise: str) -> str:
    if at is None:
        return otherwise
    if at.text() not in tiers:
        raise at.wrong(f"{at.text()[:80]!r} is no tier of this policy", "one of " + ", ".join(tiers))
    return at.text()


def _brownout(at: _At, tiers: dict[str, Tier]) -> Brownout:
    fields = at.fields("critical", "levels", required=("levels",))
    levels: list[Level] = []
    for name, item in fields["levels"].fields().items():
        if name != str(len(levels) + 1) or len(levels) == 4:
            raise item.wrong(f"level {name!r} is out of order", "levels are 1, 2, 3, 4, in this order, without gaps")
        parts = item.fields("factor", "tiers", "routes", required=("factor",))
        levels.append(
            Level(
                parts["factor"].factor_ppm(1),
                _factors(parts.get("tiers"), lambda key: _tier_name(key, tiers, "")),
                _factors(parts.get("routes"), lambda key: key.scope()),
            )
        )
    critical = tuple(item.scope() for item in fields["critical"].items()) if "critical" in fields else ()
    return Brownout(tuple(levels), critical)


def _factors(at: _At | None, read: Callable[[_At], T]) -> tuple[tuple[T, int], ...]:
    if at is None:
        return ()
    at.fields()  # no name twice
    pairs = at.node.value
    return tuple(
        (read(_At(at.file, at.field, key)), _At(at.file, f"{at.field}.{key.value}", value).factor_ppm(1))
        for key, value in pairs
    )
