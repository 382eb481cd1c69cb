"""The words of `brownout` in a policy file. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from limiter.conditions import ALWAYS
from limiter.errors import one_of
from limiter.policy import PPM, Brownout, Class, Level, Tier
from limiter.reading import At
from limiter.when_file import when

K = TypeVar("K")
LEVELS_MAX: Final = 4
CLASSES_MAX: Final = 100


def brownout(at: At, tiers: Mapping[str, Tier]) -> Brownout:
    """The brownout at `at`, of a policy with these tiers."""
    fields = at.fields("critical", "classes", "levels", required={"levels": "{ 1: { factor: 0.5 } }"})
    classes = _classes(fields["classes"], tiers) if "classes" in fields else ()
    names = [each.name for each in classes]
    levels: list[Level] = []
    for name, item in fields["levels"].fields().items():
        if name != str(len(levels) + 1) or len(levels) == LEVELS_MAX:
            raise item.wrong(f"level {name!r} is out of order", "levels are 1, 2, 3, 4, in this order, without gaps")
        levels.append(_level(item, names, tiers))
    critical = tuple(item.scope() for item in fields["critical"].items()) if "critical" in fields else ()
    return Brownout(tuple(levels), critical, classes)


def _level(at: At, classes: list[str], tiers: Mapping[str, Tier]) -> Level:
    fields = at.fields("factor", "tiers", "routes", "admit")
    if not fields:
        raise at.wrong("has neither `factor` nor `admit`", "add `factor: 0.5`, or `admit: { CLASS: 0.5 }`")
    if "admit" in fields and not classes:
        raise fields["admit"].wrong("is of classes, and there are none", "add `classes` beside `levels`")
    return Level(
        fields["factor"].factor_ppm(1) if "factor" in fields else PPM,
        _factors(fields.get("tiers"), lambda key: _known(key, tiers, "tier of this policy")),
        _factors(fields.get("routes"), lambda key: key.scope()),
        _factors(fields.get("admit"), lambda key: _known(key, classes, "class of this brownout"), 0),
    )


def _classes(at: At, tiers: Mapping[str, Tier]) -> tuple[Class, ...]:
    found: dict[str, Class] = {}
    for item in at.items():
        made = _class(item, tiers)
        if made.name in found:
            raise item.wrong(f"the name {made.name!r} is taken", "names of classes are unique")
        found[made.name] = made
    if not 1 <= len(found) <= CLASSES_MAX:
        raise at.wrong(f"names {len(found)} classes", f"1 to {CLASSES_MAX}, those that are shed first in front")
    return tuple(found.values())


def _class(at: At, tiers: Mapping[str, Tier]) -> Class:
    fields = at.fields("name", "known", "routes", "when", required={"name": "anonymous"})
    if len(fields) == 1:
        fix = "add `known: no`, `routes: [/search]` or `when: { tier: free }`; who fits no class is never turned away"
        raise at.wrong("says of no request that it is of this class", fix)
    asked = when(fields["when"]) if "when" in fields else ALWAYS
    for name, values in (*asked.any_of, *asked.none_of):
        if name == "tier" and (unknown := sorted(values - set(tiers))):
            raise fields["when"].wrong(f"asks for a tier {unknown[0][:80]!r}", one_of(unknown[0], tiers))
    return Class(
        fields["name"].name(),
        fields["known"].yes() if "known" in fields else None,
        tuple(item.scope() for item in fields["routes"].items()) if "routes" in fields else (),
        asked,
    )


def _known(at: At, names: Mapping[str, object] | list[str], what: str) -> str:
    if at.text() not in names:
        raise at.wrong(f"{at.text()[:80]!r} is no {what}", one_of(at.text(), names))
    return at.text()


def _factors(at: At | None, read_key: Callable[[At], K], low_ppm: int = 1) -> tuple[tuple[K, int], ...]:
    if at is None:
        return ()
    return tuple(
        (read_key(At(at.file, at.field, name, value.line)), value.factor_ppm(1, low_ppm))
        for name, value in at.fields().items()
    )
