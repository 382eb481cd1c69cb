"""What a look counts of a row, family by family, as one would say it in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from detectors_traffic import attacked
from numpy.typing import NDArray

from detectors.columns import IP, KEY, LIMITED, USER, Flows
from detectors.families import OUTCOMES, Each, Family, New
from detectors.family_file import built_in
from detectors.markable import Markable
from detectors.memories import Memories
from detectors.pairs import Memory, mix
from detectors.sight import MEMORY, value_of


def remember(memory: Memory, keys: NDArray[np.uint64]) -> None:
    memory.add(keys, np.zeros(len(keys), np.bool_))


def is_marked(family: Family, flows: Flows, new: dict[New, bool], *, to_anyone: bool) -> bool:
    limited, login = bool(flows.outcome[0] == LIMITED), bool(flows.login[0])
    plain = not limited and not login and flows.kind[0] != USER
    chance = {
        Each.REQUEST: plain,
        Each.RETURN: plain and not new[New.PATH],
        Each.LOGIN: login and not limited,
        Each.CREDENTIAL: login and not limited,
        Each.ADDRESS: new[New.IP],
        Each.REFUSAL: limited,
        Each.PENALTY: limited,
    }.get(family.each, False)
    mark = family.mark
    if mark.new is not None:
        chance = chance and (to_anyone if mark.to_anyone else new.get(mark.new, False))
    tags = [tag for tag in (mark.tag, family.tag) if tag >= 0]
    return (
        family.alone
        and chance
        and int(flows.kind[0]) in family.about
        and int(flows.outcome[0]) in mark.outcomes
        and all(int(flows.tags[0]) >> tag & 1 for tag in tags)
    )


def what_is_new(flow: Flows, memories: Memories, markable: Markable) -> tuple[dict[New, bool], bool]:
    """Of one row, what its owner has not done before; and whether nobody else has asked for its path."""
    owner, limited = mix(flow.entity, flow.kind.astype(np.uint64)), flow.outcome[0] == LIMITED
    plain = not limited and not flow.login[0] and flow.kind[0] != USER
    new = {New.PATH: bool(plain and not memories.paths.contains(mix(owner, flow.path))[0])}
    for thing, kinds in markable.kinds_of.items():
        value = value_of(flow, thing)
        asked = flow.kind[0] in kinds and not limited and value[0] != 0
        new[thing] = bool(asked and not memories.by_owner(MEMORY[thing]).contains(mix(owner, value))[0])
    return new, bool(new[New.PATH] and not memories.anyone.contains(mix(flow.path))[0])


def test_rows_are_marked_by_families_as_these_say() -> None:
    chance, families = np.random.default_rng(3), built_in()
    flows = attacked(5).take(np.sort(chance.permutation(4000)[:600]))
    n = len(flows)
    flows = replace(
        flows,
        tags=chance.integers(0, 1 << 62, n).astype(np.uint64),
        outcome=chance.integers(0, len(OUTCOMES), n).astype(np.uint8),
        kind=chance.choice(np.array([IP, KEY, USER], np.uint8), n),
        login=chance.random(n) < 0.3,
        asn=chance.integers(0, 9, n).astype(np.uint64),
        agent=chance.integers(0, 9, n).astype(np.uint64),
    )
    memories = Memories()
    owner = mix(flows.entity, flows.kind.astype(np.uint64))
    known = chance.random(len(flows)) < 0.4
    remember(memories.paths, mix(owner, flows.path)[known])
    remember(memories.anyone, mix(flows.path)[chance.random(len(flows)) < 0.2])
    markable = Markable.of(families)
    for thing in markable.kinds_of:
        value = value_of(flows, thing)
        remember(memories.by_owner(MEMORY[thing]), mix(owner, value)[known & (value != 0)])
    row, index, many = markable.marks(flows, memories)
    told = {(r, f): n for r, f, n in zip(row.tolist(), index.tolist(), many.tolist(), strict=True)}

    wanted = {}
    for at in range(len(flows)):
        one = flows.take(np.array([at]))
        new, to_anyone = what_is_new(one, memories, markable)
        for family in families:
            if is_marked(family, one, new, to_anyone=to_anyone):
                once = family.mark.new is not None or family.each is Each.PENALTY
                wanted[at, family.index] = 1 if once else int(flows.n[at])
    assert len({index for _, index in wanted}) > 12
    assert told == wanted
