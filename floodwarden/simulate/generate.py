"""Labelled decisions of a simulated site, in time order: who comes, what the limiter says, as columnar batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final
from zlib import crc32

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from floodwarden.formats_trace import Labelled
from floodwarden.simulate import catalogue
from floodwarden.simulate.config import Attack, SimulationConfig
from floodwarden.simulate.machines import customers
from floodwarden.simulate.people import people
from floodwarden.simulate.scene import Scene
from floodwarden.simulate.services import services
from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES, ENDPOINTS, Ints, Rows, Words, World
from schemas.codec import text_hash
from schemas.decision import SCHEMA, VERDICTS

_RULES: Final = ("per-ip", "per-key", "login")
_PER_MINUTE: Final = {"per-ip": 120, "per-key": 120, "login": 30}
_PARTNER_PER_MINUTE: Final = 1200
PARTNERS: Final = ("key-batch-", "key-fleet-", "key-poll-")
_NODES: Final = ("gw-1", "gw-2", "gw-3")
_MISSING: Final = ENDPOINT_CODES["missing"]


def simulate(config: SimulationConfig) -> Iterator[Labelled]:
    """Decisions of `config` with their labels, in time order, `config.batch_rows` at a time.

    Each population draws from its own stream of the seed, so that leaving one out changes no row of another.
    """
    world = World()
    rows, verdicts, rules = _decided(world, config)
    latency = _latency_ms(np.random.default_rng([config.seed, 90]), rows, verdicts)
    render = _Renderer(world, config.seed)
    for begin in range(0, len(rows), config.batch_rows):
        part = slice(begin, begin + config.batch_rows)
        yield render.batch(rows[part], verdicts[part], rules[part], latency[part])


def _decided(world: World, config: SimulationConfig) -> tuple[Rows, Ints, Ints]:
    made = _everyone(world, config)
    end_ms = config.start_ms + int(config.duration_s * 1000)
    made = made[(made["ts_ms"] >= config.start_ms) & (made["ts_ms"] < end_ms)]
    made = made[np.argsort(made["ts_ms"], kind="stable")]
    rules = (
        _refusals(made, _partners(world), np.array(world.clients, np.int64))
        if config.limits
        else np.full(len(made), ABSENT, np.int64)
    )
    verdicts = np.where(rules != ABSENT, VERDICTS.index("limit"), VERDICTS.index("allow"))
    made["status"][rules != ABSENT] = 429
    return made, verdicts, rules


def _everyone(world: World, config: SimulationConfig) -> Rows:
    good = _good(world, config)  # first, for an attack may use addresses of theirs, or of their neighbours
    return np.concatenate(
        [good, *(_attack(world, config, what, number) for number, what in enumerate(config.attacks, start=1))]
    )


def _good(world: World, config: SimulationConfig) -> Rows:
    """Rows of everybody who means well, hard cases labelled."""

    def scene(name: str) -> Scene:
        rng = np.random.default_rng([config.seed, crc32(name.encode())])
        return Scene(rng, world, config.duration_s, config.start_ms, config.requests_per_s, config.clients)

    chosen = [case for name, case in catalogue.cases().items() if name in config.cases]
    parts = [people(scene("people"), config.cases), customers(scene("customers"))]
    parts.append(services(scene("services"), np.concatenate(parts)))
    for case in chosen:
        if case.make is not None:
            made = case.make(scene(case.name))
            made["label"] = world.labels.code(f"benign/{case.name}")
            parts.append(made)
    good = np.concatenate(parts)
    for case in chosen:
        if case.change is not None:
            touched = case.change(scene(case.name), good)
            good["label"][touched] = world.labels.code(f"benign/{case.name}")
    good["ts_ms"] += config.start_ms
    return good


def _attack(world: World, config: SimulationConfig, what: Attack, number: int) -> Rows:
    """Rows of incident `number`; it begins where `what` says, or where the seed puts it."""
    rng = np.random.default_rng([config.seed, 100 + number])
    begin_s = what.start_s
    if begin_s is None:
        slots = max(len(config.attacks), 1)
        begin_s = float(config.duration_s * (0.12 + 0.82 * (number - 1 + rng.uniform(0, 0.5)) / slots))
    family = catalogue.families()[what.family]
    usual = family.strengths[what.strength]
    span_s = min(what.duration_s or usual.lasts_s, max(1.0, config.duration_s - begin_s))
    start_ms = config.start_ms + int(begin_s * 1000)
    scene = Scene(rng, world, span_s, start_ms, config.requests_per_s, config.clients)
    made = family.make(scene, replace(usual, lasts_s=span_s))
    made["ts_ms"] += start_ms
    made["label"] = world.labels.code(f"attack/{what.family}/{what.strength}/{number}")
    return made


def _partners(world: World) -> Ints:
    return np.array([code for text, code in world.keys.codes.items() if text.startswith(PARTNERS)], np.int64)


def _refusals(made: Rows, partners: Ints, clients: Ints) -> Ints:
    """The rule (a position in `_RULES`) that refused each row, ABSENT where none did; counted by the full minute.

    `clients`: whose each address is, for a limit counts all of an IPv6 /64 together.
    """
    minute = made["ts_ms"] // 60_000
    keyed = made["key"] != ABSENT
    login = made["endpoint"] == ENDPOINT_CODES["login"]
    client = clients[made["ip"]]
    rank_ip, rank_key = _rank(client, minute, ~keyed), _rank(made["key"], minute, keyed)
    rank_login = _rank(client, minute, login)
    key_limit = np.where(np.isin(made["key"], partners), _PARTNER_PER_MINUTE, _PER_MINUTE["per-key"])
    refused = np.full(len(made), ABSENT, np.int64)
    refused[~keyed & (rank_ip >= _PER_MINUTE["per-ip"])] = _RULES.index("per-ip")
    refused[keyed & (rank_key >= key_limit)] = _RULES.index("per-key")
    refused[login & (rank_login >= _PER_MINUTE["login"])] = _RULES.index("login")
    return refused


def _rank(who: Ints, minute: Ints, where: NDArray[np.bool_]) -> Ints:
    """How many rows of the same identity and minute stand before each row; -1 outside `where`."""
    rank = np.full(len(who), -1, np.int64)
    at = np.flatnonzero(where)
    if not len(at):
        return rank
    group = (who[at].astype(np.int64) << 32) + (minute[at] - minute[0])
    order = np.argsort(group, kind="stable")
    begins = np.flatnonzero(np.concatenate(([True], np.diff(group[order]) != 0)))
    lengths = np.diff(np.concatenate((begins, [len(order)])))
    rank[at[order]] = np.arange(len(order)) - np.repeat(begins, lengths)
    return rank


def _latency_ms(rng: np.random.Generator, made: Rows, verdicts: Ints) -> NDArray[np.float32]:
    usual = np.array([endpoint.latency_ms for endpoint in ENDPOINTS.values()])
    drawn = usual[made["endpoint"]] * rng.lognormal(0, 0.45, len(made))
    return np.where(verdicts == 0, drawn, 0.4).astype(np.float32)


class _Renderer:
    """Codes to texts, a batch at a time; each batch carries only the texts its rows use."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._texts = {
            name: pa.array(words.texts, pa.utf8())
            for name, words in {
                "ip": world.ips,
                "user": world.users,
                "key": world.keys,
                "path": world.paths,
                "ua": world.agents,
            }.items()
        }
        self._path_hash = np.fromiter((text_hash(text) for text in world.paths.texts), np.uint64)
        self._labels = np.array(world.labels.texts, object)
        self._methods, self._routes, self._countries = Words(), Words(), Words()
        self._country_of = self._countries.all(world.countries)
        self._asn_of = np.array(world.asns, np.uint32)
        self._method_of = self._methods.all([e.method for e in ENDPOINTS.values()])
        self._route_of = self._routes.all([e.route for e in ENDPOINTS.values()])
        self._nodes = np.random.default_rng([seed, 91])

    def batch(self, made: Rows, verdicts: Ints, rules: Ints, latency_ms: NDArray[np.float32]) -> Labelled:
        """Rows as decisions, and their labels."""
        n = len(made)
        columns = {
            "ts_ms": pa.array(made["ts_ms"]),
            "verdict": _text(verdicts, pa.array(VERDICTS, pa.utf8())),
            "node": _text(self._nodes.integers(0, len(_NODES), n), pa.array(_NODES, pa.utf8())),
            "ip": _text(made["ip"], self._texts["ip"]),
            "user": _text(made["user"], self._texts["user"]),
            "key_id": _text(made["key"], self._texts["key"]),
            "method": _text(self._method_of[made["endpoint"]], pa.array(self._methods.texts, pa.utf8())),
            "route": _text(self._route_of[made["endpoint"]], pa.array(self._routes.texts, pa.utf8())),
            "path": _text(made["path"], self._texts["path"]),
            "path_hash": pa.array(self._path_hash[made["path"]]),
            "rule": _text(rules, pa.array(_RULES, pa.utf8())),
            "cost": pa.array(np.ones(n, np.int32)),
            "status": pa.array(made["status"]),
            "latency_ms": pa.array(latency_ms),
            "ua": _text(made["ua"], self._texts["ua"]),
            "country": _text(self._country_of[made["ip"]], pa.array(self._countries.texts, pa.utf8())),
            "asn": pa.array(self._asn_of[made["ip"]]),
        }
        arrays = [columns[f.name] if f.name in columns else pa.nulls(n, f.type) for f in SCHEMA]
        return Labelled(pa.RecordBatch.from_arrays(arrays, schema=SCHEMA), self._labels[made["label"]])


def _text(codes: NDArray[np.integer], texts: pa.Array) -> pa.Array:
    """Codes as a dictionary column that holds the texts used and no others; ABSENT is null."""
    used, indices = np.unique(codes, return_inverse=True)
    absent = bool(len(used)) and used[0] == ABSENT
    indices = indices.astype(np.int32) - int(absent)
    picked = texts.take(pa.array(used[int(absent) :].astype(np.int64)))
    return pa.DictionaryArray.from_arrays(pa.array(indices, mask=indices < 0 if absent else None), picked)
