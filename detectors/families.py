"""What a family of abuse is: its opportunities and marks, how likely abuse makes them, how it is answered.

A mark is a yes or no per *opportunity*. Each entity keeps one leaky CUSUM of log-likelihood ratios per family; `q1` is
how often abuse marks an opportunity. How often good traffic does (p0) is only stated here until `nulls` has learned it.
The built-in families stand in `data/families`, in the words an operator writes his own in (`family_file`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from detectors.columns import AUTH_FAILED, CLIENT_ERROR, IP, KEY, LIMITED, OK, SERVER_ERROR, USER
from detectors.filters import Filter

HOUR_S: Final = 3600
MARK_MAX: Final = 2.5  # nats one mark may add: without it flash crowds are denied
OVER: Final = 10.0  # nats evidence may stand above the threshold
QUIET_MS: Final = 20 * 60_000  # an episode ends after so long without a mark
LEAK_MS: Final = 2 * HOUR_S * 1000

# Evidence a repeated failure of one (address, account) pair carries: likely after the first in good traffic too.
REPEAT_Q1: Final = 0.9
REPEAT_P0: Final = 0.4
REPEAT_GAP_MS: Final = 30_000  # slower repeats are a stale credential, no evidence
PENALTY_S: Final = 10  # a refusal stands so long: refused again within it is a mark of `limit`

BUILT_IN: Final = "built in"
KINDS: Final = {"ip": IP, "key": KEY, "user": USER}
OUTCOMES: Final = {
    "ok": OK,
    "failed": AUTH_FAILED,
    "client_error": CLIENT_ERROR,
    "server_error": SERVER_ERROR,
    "limited": LIMITED,
}


class Each(StrEnum):
    """What an opportunity is."""

    REQUEST = "request"  # answered, no login
    RETURN = "return"  # the same, for a path the entity asked for before
    TURN = "turn"  # the same, for another path than the request before, with its user agent
    LOGIN = "login"  # a login and its result
    CREDENTIAL = "credential"  # the same, at an account not yet good at that address (`sight.Logins`)
    ADDRESS = "address"  # an address new to the entity
    REFUSAL = "refusal"  # refused by a limit
    PENALTY = "penalty"  # a second in which a refusal stands
    MINUTE = "minute"  # a minute in which the forest is asked


class New(StrEnum):
    """What a mark may be the first of."""

    PATH = "path"
    AGENT = "agent"
    ASN = "asn"
    USER = "user"
    IP = "ip"
    PLACE = "place"  # an autonomous system for a path: where it is asked for
    HOME = "home"  # an autonomous system: new to it until the hour is over, at every request
    ROUTE = "route"  # the same of a route


UNTIL_THE_HOUR: Final = (New.HOME, New.ROUTE)  # what is new for as long


class Null(StrEnum):
    """Where p0 comes from."""

    LEARNED = "learned"  # how clients differ, and own history
    BY_AGE = "by_age"  # by place in the entity's life, and own history
    OWN = "own"  # own history alone: without one no mark says anything
    STATED = "stated"
    RATE = "rate"  # no p0: marks a second that good clients come to in bursts


class GroupBy(StrEnum):
    """What entities are taken together by, where each alone shows too little."""

    ROUTE = "route"
    ASN = "asn"
    NETWORK = "network"
    TENANT = "tenant"


@dataclass(frozen=True, slots=True)
class Mark:
    """What marks an opportunity: all that is said. `tag`: the bit of its condition in a flow's `tags`, -1 for none."""

    outcomes: frozenset[int] = frozenset(range(len(OUTCOMES)))
    new: New | None = None
    to_anyone: bool = False
    same_route: bool = False
    again: bool = False  # a path that the entity asked for before
    at_once: int = 1  # like requests within a second, at least; then the row is one mark
    waits: bool = True  # whether a request that only asks whether something is there by now may be one (`sight`)
    where: Filter | None = None
    tag: int = -1

    @property
    def once(self) -> bool:
        """Whether a row of like requests is one mark, however many they are."""
        return self.new not in (None, *UNTIL_THE_HOUR) or self.again or self.at_once > 1


@dataclass(frozen=True, slots=True)
class Words:
    """What people read: the `sentence` of a finding, `repeated` where repeats are most of the evidence."""

    what: str
    sentence: str
    avoid: str
    repeated: str = ""
    behaviour: str = ""  # in CrowdSec's words
    owasp: tuple[str, ...] = ()
    attack: tuple[str, ...] = ()
    source: str = BUILT_IN


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of abuse.

    `tag` narrows opportunities, `outcomes` those that are no mark (a mark is always one). `usual`: p0, or marks a
    second, of newcomers and established until learned. `control`: p0 is at least what established clients do on the
    route right now. `answers` by kind, of newcomers and established; in `shadow` people are told what would have been
    asked. `alone`: evidence of one entity may suffice; else it only counts where a group is in alarm that has a
    history.
    """

    index: int
    name: str
    version: int
    each: Each
    about: frozenset[int]
    outcomes: frozenset[int]
    mark: Mark
    null: Null
    q1: float
    usual: tuple[float, float]
    control: bool
    answers: dict[int, tuple[str, str]]
    severity: str
    words: Words
    shadow: bool = False
    on_route: bool = False  # an answer is aimed at the one route all marks are on
    where: Filter | None = None
    tag: int = -1
    groups: tuple[GroupBy, ...] = ()
    newcomers_only: bool = False  # of the group's traffic
    alone: bool = True

    def answer(self, kind: int, *, established: bool) -> str:
        """What to ask for about an entity of `kind`."""
        return "notice" if self.shadow else self.wanted(kind, established=established)

    def wanted(self, kind: int, *, established: bool) -> str:
        """The same, were it not in shadow."""
        return self.answers.get(kind, ("notice", "notice"))[established]

    @property
    def signature(self) -> str:
        """What a model learned for it holds for."""
        return f"{self.name}/{self.version}:{self.q1}"

    @property
    def ids(self) -> tuple[str, ...]:
        """What catalogues of threats call it."""
        return (*self.words.owasp, *self.words.attack)

    @property
    def soft(self) -> bool:
        """Whether its answers harm least, and it tells of habits: a training file is believed about single owners."""
        return (
            not self.rate
            and (self.mark.new is not None or self.each is Each.MINUTE)
            and not {"deny", "throttle"} & set(sum(self.answers.values(), ()))
        )

    @property
    def burst_s(self) -> int:
        """Seconds in which bursts of marks are counted where p0 is a rate."""
        return 10 if self.each is Each.REFUSAL else HOUR_S

    @property
    def rate(self) -> bool:
        """Whether it counts marks a second."""
        return self.null is Null.RATE


Families = tuple[Family, ...]


def submissions(families: Families) -> int:
    """The bit of a flow's `tags` that says something is submitted (what `focus` looks at), -1 for none."""
    return next((family.tag for family in families if family.name == "focus"), -1)


def refused_keys(families: Families) -> int:
    """The bit that says that a request has a key and names no account (what `key-guess` looks at), -1 for none."""
    return next((family.mark.tag for family in families if family.name == "key-guess"), -1)


def forests_family(families: Families) -> Family:
    """The one whose marks the forest makes."""
    return next(family for family in families if family.each is Each.MINUTE)
