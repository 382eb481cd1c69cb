"""Whether a login route lets anybody in just then: before somebody is denied for failing there, others must get in.

    door      who came within two minutes or so, each counted once by what he met
    in        0   0   0   0        nobody gets in, many fail: it may be an outage, and nobody is denied (`shut`)
    failed    9  14  12  15
    error     8  11  13   9        the server's own errors: what fails there says little (`BROKEN_P0`)

Whom an attacker keeps from getting in he would have to keep out everywhere: where others get in, the door works. A lone
guesser at night has nobody beside him, and is judged as always.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.columns import AUTH_FAILED, OK, SERVER_ERROR, USER, Fact
from detectors.control import Control
from detectors.pairs import PairSet, firsts, mix
from detectors.rows import Rows

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Flag = NDArray[np.bool_]
EACH_S: Final = 120  # a client is counted once in so long, as what it met
LET_IN_MIN: Final = 3.0  # clients, fading, of whom a door is known to work
KEPT_OUT_MIN: Final = 3.5  # clients, fading, that did not get in, before it may be the door's fault: one comes to 1.6
ERRORS_MIN: Final = 1.5  # clients, fading, that met errors of the server's own
ONE: Final = 0.5  # client, fading, that met such an error where nobody gets in
BROKEN_SHARE: Final = 0.1  # of those who came
BROKEN_P0: Final = 0.75  # how many good clients' logins fail at a door that is broken
SHUT: Final = (
    Fact("door", 1.0, None, "hardly anybody else gets in there just then: it may be an outage, so nobody is denied"),
)
_MET: Final = (OK, AUTH_FAILED, SERVER_ERROR)
_DOOR: Final = np.uint64(11)  # routes of their own in the control sums, by what was met


@dataclass(frozen=True, slots=True)
class Doors:
    """By row: nobody but a handful gets in (`shut`), or a good share meets the server's own errors (`broken`)."""

    shut: Flag
    broken: Flag


def samples(rows: Rows, sampled: PairSet, waited: Flag) -> tuple[tuple[U64, I64, F64], U64]:
    """What clients met at logins (place, pane, 1), one of each a client, route and two minutes; their keys.

    Who waits there as usual (`waited`, by row) is not kept out.
    """
    f = rows.flows
    at = np.flatnonzero(f.login & (f.kind != USER) & np.isin(f.outcome, _MET) & ~waited)
    where = place(f.route[at], f.outcome[at])
    key = mix(rows.owner[rows.seg[at]], where, (f.pane_s[at] // EACH_S).astype(np.uint64))
    some = np.flatnonzero(~sampled.contains(key))
    some = some[firsts(key[some])]
    return (where[some], f.pane_s[at[some]], np.ones(len(some))), key[some]


def seen(control: Control, route: U64, pane_s: I64, new: tuple[U64, I64, F64]) -> Doors:
    """How the doors on `route` stood when `pane_s` began; `new`: the samples of this run."""
    asked = np.concatenate([place(route, np.full(len(route), met)) for met in _MET])
    came, _ = control.counts(asked, np.tile(pane_s, len(_MET)), new)
    let_in, failed, errors = came.reshape(len(_MET), len(route))
    broken = (errors >= ERRORS_MIN) & (errors >= BROKEN_SHARE * (let_in + failed + errors))
    stuck = (failed + errors >= KEPT_OUT_MIN) | (errors >= ONE)  # an outage's first seconds are one office's
    return Doors(broken | ((let_in < LET_IN_MIN) & stuck), broken)


def place(route: U64, met: NDArray[np.uint8] | I64) -> U64:
    """Where what clients met on a route is summed."""
    return mix(route, np.full(len(route), _DOOR), np.asarray(met, np.uint64))
