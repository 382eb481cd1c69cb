"""What a family of attacks or a good case works with: chance, the site, the time there is; and small behaviours.

Times are seconds from the scene's beginning until they become rows. A behaviour is a function of a scene that gives
times or rows; a family puts two or three of them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES, ENDPOINTS, ROW, Ints, Rows, World

Seconds = NDArray[np.float64]
TOOLS: Final = (
    "python-requests/2.31.0", "curl/8.5.0", "Go-http-client/1.1", "okhttp/4.12.0", "aiohttp/3.9.1", "axios/1.6.7",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scene:
    """`span_s`: how long it may last; a case has the whole run, an attack what it is given or what is left.

    `start_ms` is its first moment; `requests_per_s` and `clients` are people's, for cases that grow with the site.
    """

    rng: np.random.Generator
    world: World
    span_s: float
    start_ms: int
    requests_per_s: float = 7.0
    clients: int = 3000

    def renamed(self, made: Rows, endpoint: str) -> Rows:
        """The same requests, to another endpoint."""
        other = self.requests(made["ts_ms"] / 1000, endpoint)
        for column in ("ts_ms", "ip", "user", "key", "ua", "status"):
            other[column] = made[column]
        return other

    def requests(
        self,
        at_s: Seconds,
        endpoint: str,
        *,
        path: Ints | Sequence[str] | str | None = None,
        **columns: Ints | int,
    ) -> Rows:
        """A row for each time, all of one endpoint, answered 200 where no `status` is given.

        `path` is codes, a text a row or one for all; without it the endpoint's own. `columns`: ip, user, key, status,
        ua, as one code or one a row.
        """
        made = rows(len(at_s), ts_ms=(np.maximum(at_s, 0) * 1000).astype(np.int64), **columns)
        made["endpoint"] = ENDPOINT_CODES[endpoint]
        match path:
            case None:
                made["path"] = self.world.fixed(endpoint)
            case str():
                made["path"] = self.world.paths.code(path)
            case np.ndarray():
                made["path"] = path
            case _:
                made["path"] = self.world.paths.all(list(path))
        return made

    def addresses(self, n: int, network: str = "attacker") -> Ints:
        """`n` addresses nobody else in the run has (documentation ranges: until they are used up)."""
        return self.world.addresses(network, n)

    def subscriber(self, n: int, kind: str = "attacker6") -> Ints:
        """`n` addresses by chance, all in one IPv6 /64 that nobody else in the run has: `attacker6` or `office6`."""
        return self.world.subscriber(kind, self.rng.integers(1, 1 << 62, n))

    def accounts(self, n: int, *, distinct: bool = False) -> Ints:
        """Accounts of the site's people, by chance; `distinct`: each once, as far as there are so many."""
        who = self.rng.permutation(self.clients)[:n] if distinct else self.rng.integers(0, self.clients, n)
        return self.world.users.all([f"user{number:05d}" for number in np.resize(who, n)])

    def strangers(self, n: int, name: str) -> Ints:
        """`n` accounts the site does not have, or has since a moment ago."""
        return self.world.users.all([f"{name}{number:06d}" for number in self.rng.permutation(900_000)[:n]])

    def key(self, name: str) -> int:
        """An API key's code; names that begin with `key-batch-`, `key-fleet-` or `key-poll-` have a partner's limit."""
        return self.world.keys.code(name)

    def browser(self, ip: Ints) -> Ints:
        """A browser an address, always the same."""
        return self.world.browsers[ip % len(self.world.browsers)]

    def tool(self, agent: str | None = None) -> int:
        """A library's user agent, by chance without `agent`."""
        return self.world.agents.code(agent or TOOLS[int(self.rng.integers(len(TOOLS)))])

    def mostly(self, n: int, usual: int, rare: int, share: float) -> Ints:
        """Statuses: `rare` in `share` of rows, else `usual`."""
        return np.where(self.rng.random(n) < share, rare, usual)

    # When things happen.

    def steady(self, per_s: float, span_s: float, *, shape: float = 3.0) -> Seconds:
        """One source's requests at a mean rate; `shape` 1 is chance, 3 a program that waits for answers, 50 a clock."""
        n = max(3, int(per_s * span_s))
        at_s = np.cumsum(self.rng.gamma(shape, 1 / (shape * per_s), n))
        return at_s if n == 3 else at_s[at_s <= span_s]

    def regular(self, begin_s: float, end_s: float, every_s: float, jitter: float) -> Seconds:
        """A timer's ticks, off by `jitter` of the period."""
        at_s = np.arange(begin_s + self.rng.uniform(0, every_s), end_s, every_s)
        return np.asarray(at_s + self.rng.normal(0, every_s * jitter, len(at_s)))

    def scattered(self, n: int, span_s: float) -> Seconds:
        """`n` sorted moments anywhere in the span."""
        return np.sort(self.rng.uniform(0, span_s, n))

    def by_turns(self, who: Ints, n: int) -> Ints:
        """`n` picks among `who`, each as often as any other, in no order."""
        return who[self.rng.permutation(n) % len(who)]

    def moment(self, earliest: float, latest: float) -> float:
        """A moment between two shares of the span."""
        return float(self.span_s * self.rng.uniform(earliest, latest))


def rows(n: int, **columns: Ints | int) -> Rows:
    """`n` rows, absent where no column is given, status 200, label empty."""
    made = np.full(n, ABSENT, np.int8).astype(ROW)
    made["status"], made["label"] = 200, 0
    for name, values in columns.items():
        made[name] = values
    return made


def together(*parts: Rows) -> Rows:
    """Rows of several kinds as one array, in no order."""
    return np.concatenate(parts) if parts else rows(0)


def scripted(scene: Scene, begins_s: Seconds, steps: Sequence[tuple[str, float, int]], **columns: Ints | int) -> Rows:
    """Every beginning goes through the same `steps` (endpoint, mean seconds since the last, status), one row each.

    `columns` hold one code for all, or one a beginning.
    """
    n, at_s = len(begins_s), begins_s
    parts = []
    for endpoint, wait_s, status in steps:
        at_s = at_s + (scene.rng.gamma(2, wait_s / 2, n) if wait_s else 0.0)
        made = scene.requests(at_s, endpoint, status=status)
        for name, codes in columns.items():
            made[name] = codes
        parts.append(made)
    return together(*parts)


__all__ = ["ABSENT", "ENDPOINTS", "Rows", "Scene", "Seconds", "rows", "scripted", "together"]


def those(by: dict[str, Ints], which: Ints | NDArray[np.bool_]) -> dict[str, Ints]:
    """Some of them, each as often as named."""
    return {name: codes[which] for name, codes in by.items()}


def again(times: Ints) -> tuple[Ints, Ints]:
    """Each position as often as `times` says, and which of its times it is."""
    who = np.repeat(np.arange(len(times)), times)
    return who, np.arange(len(who)) - np.searchsorted(who, who)


def one_client(ip: int, key: int, ua: int) -> dict[str, Ints]:
    """Columns of requests that all come from one address, with one key and one name."""
    return {"ip": np.array([ip]), "key": np.array([key]), "ua": np.array([ua])}
