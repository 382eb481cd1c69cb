"""The trained model: plain arrays with a signature. Nothing in the file is executed."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.columns import KINDS_N
from detectors.errors import ArtifactError
from detectors.families import Families, Null
from detectors.family_file import built_in
from detectors.features import FEATURES
from detectors.forest import Forest, from_arrays

FORMAT: Final = 3
UNPACKED_MAX: Final = 256 << 20
METRICS_MAX: Final = 1_000
POSITIONS: Final = 24  # buckets of an entity's life, two an octave of requests
Array = NDArray[np.generic]
F64 = NDArray[np.float64]
# What reading a damaged archive can raise; a RuntimeError where it is said to be encrypted or packed in another way.
_DAMAGED: Final = (
    KeyError, ValueError, TypeError, OverflowError, MemoryError, RuntimeError, EOFError, OSError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip


def signature() -> str:
    """What an artifact must have been made for: format, features in their order. Families are matched one by one."""
    return f"floodwarden-model/{FORMAT};{','.join(FEATURES)}"


@dataclass(frozen=True)
class Model:
    """What is normal, and how much evidence is enough.

    `prior` (kind, population, family, 2): Beta of how clients differ; population 0 newcomer, 1 established.
    `position` (kind, bucket, 2): the same for paths new to an entity, by place in its life.
    `h` (kind, family): thresholds in nats. `beta` (kind, family): the slope they came from. `entities` (kind, family):
    how many with an opportunity the thresholds stand for. `rate_per_s` (kind, family): marks a second good clients come
    to in bursts, of families that count them.
    `regulars` (sorted owner hashes) and `regulars_p0` (owner, family): crawlers, batches, fleets known from the
    training, and the least null they are held to; near 1 where their ways are no evidence.
    `forest`: arrays of `detectors.forest` by `POPULATION.NAME` (empty: no forest, `odd` stays silent).
    `influx`: shares of newcomers by route (`detectors.influx`; empty: learned as it goes).
    `span_s`: how long the traffic was that it learned from; 0 for stated defaults. `metrics`: how good it was found to
    be, by name (`stream.quality`); empty where nobody measured.
    """

    prior: F64
    position: F64
    h: F64
    beta: F64
    entities: NDArray[np.int64]
    rate_per_s: F64
    span_s: int
    made_from: str = ""
    regulars: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    regulars_p0: F64 = field(default_factory=lambda: np.zeros((0, len(built_in()))))
    forest: Mapping[str, Array] = field(default_factory=dict)
    influx: Mapping[str, Array] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    families: Families = field(default_factory=built_in)

    @property
    def version(self) -> str:
        """Twelve hex digits of what the model says: equal content, equal version."""
        digest = hashlib.sha256(signature().encode())
        for name, array in sorted(self.arrays().items()):
            digest.update(name.encode() + b"\0" + str(array.dtype).encode() + str(array.shape).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:12]

    def arrays(self) -> dict[str, Array]:
        """Everything, by name."""
        named: dict[str, Array] = {
            "prior": self.prior,
            "position": self.position,
            "h": self.h,
            "beta": self.beta,
            "entities": self.entities,
            "rate_per_s": self.rate_per_s,
            "span_s": np.array(self.span_s),
            "regulars": self.regulars,
            "regulars_p0": self.regulars_p0,
            "families": np.frombuffer(",".join(f.signature for f in self.families).encode(), np.uint8),
            "made_from": np.frombuffer(self.made_from.encode(), np.uint8),
        }
        named |= {f"forest.{name}": array for name, array in self.forest.items()}
        if self.metrics:
            names, values = zip(*sorted(self.metrics.items()), strict=True)
            named |= {
                "metrics.names": np.frombuffer(",".join(names).encode(), np.uint8),
                "metrics.values": np.array(values, np.float64),
            }
        return named | {f"influx.{name}": array for name, array in self.influx.items()}


def save(model: Model, path: Path) -> None:
    """Write `model` to `path` (compressed npz, without time stamps: equal models give equal files)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        named = {"signature": np.frombuffer(signature().encode(), np.uint8)} | model.arrays()
        for name, array in sorted(named.items()):
            data = io.BytesIO()
            np.lib.format.write_array(data, np.ascontiguousarray(array) if array.ndim else array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), data.getvalue())


def load(path: Path | None = None, families: Families | None = None) -> Model:
    """The model at `path`, the shipped one without, for `families`, else for the built-in ones.

    A family it was not trained for has what its file states; one that it was trained for and that is not asked for
    falls away.

    Raises:
        ArtifactError: it cannot be read, lacks a built-in family, or was made for other features or another format.
    """
    if path is None:
        data = resources.files("detectors").joinpath("data/default.npz").read_bytes()
        return parse(data, "the shipped model", families or built_in())
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error}); train one with `floodwarden train`") from error
    return parse(data, str(path), families or built_in())


def parse(data: bytes, name: str, families: Families) -> Model:
    """The model that `data` is, called `name` in errors. Raises `ArtifactError` as `load`."""
    try:
        named = _unpacked(data)
        made_for = named.pop("signature").tobytes().decode()
        if made_for != signature():
            raise ArtifactError(f"{name}: made for {made_for!r}, this version needs {signature()!r}; train it anew")
        forest, influx = (_under(f"{part}.", named) for part in ("forest", "influx"))
        model = Model(
            prior=np.asarray(named["prior"], np.float64),
            position=np.asarray(named["position"], np.float64),
            h=np.asarray(named["h"], np.float64),
            beta=np.asarray(named["beta"], np.float64),
            entities=np.asarray(named["entities"], np.int64),
            rate_per_s=np.asarray(named["rate_per_s"], np.float64),
            span_s=int(named["span_s"]),
            regulars=np.asarray(named["regulars"], np.uint64),
            regulars_p0=np.asarray(named["regulars_p0"], np.float64),
            made_from=named["made_from"].tobytes().decode(),
            forest=forest,
            influx=influx,
            metrics=_metrics(_under("metrics.", named)),
        )
        forests_of(model)
        _check_influx(model, name)
        made_of = named["families"].tobytes().decode().split(",")
        _check(model, name, len(made_of))
    except _DAMAGED as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(f"{name}: not a Floodwarden model ({error}); train one with `floodwarden train`") from error
    return _fitted(model, name, made_of, families)


def _unpacked(data: bytes) -> dict[str, Array]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(one.file_size for one in archive.infolist()) > UNPACKED_MAX:
            raise ValueError(f"more than {UNPACKED_MAX >> 20} MiB unpacked")
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def _check_influx(model: Model, name: str) -> None:
    n = len(model.influx.get("route", ()))
    for part in ("share", "past") if model.influx else ():
        have = model.influx[part]
        if have.shape != (n, 3) or not np.isfinite(have).all():
            raise ArtifactError(
                f"{name}: influx.{part} is damaged (shape {have.shape}, expected ({n}, 3)); train it anew"
            )


def _metrics(named: Mapping[str, Array]) -> dict[str, float]:
    """Of models made before there were any, none. Raises KeyError or ValueError where they are damaged."""
    if not named:
        return {}
    names, values = named["names"].tobytes().decode().split(","), np.asarray(named["values"], np.float64)
    if len(names) > METRICS_MAX or not np.isfinite(values).all():
        raise ValueError("metrics are damaged")
    return dict(zip(names, values.tolist(), strict=True))


def _under(prefix: str, named: Mapping[str, Array]) -> dict[str, Array]:
    return {key.removeprefix(prefix): value for key, value in named.items() if key.startswith(prefix)}


def _check(model: Model, name: str, families: int) -> None:
    shapes = {
        "prior": (KINDS_N, 2, families, 2),
        "position": (KINDS_N, POSITIONS, 2),
        "h": (KINDS_N, families),
        "beta": (KINDS_N, families),
        "entities": (KINDS_N, families),
        "rate_per_s": (KINDS_N, families),
        "regulars_p0": (len(model.regulars), families),
    }
    for part, shape in shapes.items():
        have = getattr(model, part)
        if have.shape != shape or not np.isfinite(have).all() or (have < 0).any():
            raise ArtifactError(f"{name}: {part} is damaged (shape {have.shape}, expected {shape}); train it anew")


def _fitted(model: Model, name: str, made_of: list[str], families: Families) -> Model:
    """`model`, whose arrays have the families `made_of`, for `families`."""
    ours = {family.signature for family in built_in()}
    lacking = [f.signature for f in families if f.signature in ours and f.signature not in made_of]
    if lacking:
        raise ArtifactError(f"{name}: made without {lacking[0]!r}, which this version needs; train it anew")
    stated = defaults(families)
    have = [(f.index, made_of.index(f.signature)) for f in families if f.signature in made_of]
    to, of = (list(each) for each in zip(*have, strict=True))
    made = {part: getattr(stated, part).copy() for part in ("h", "beta", "entities", "rate_per_s")}
    for part, array in made.items():
        array[:, to] = getattr(model, part)[:, of]
    prior = stated.prior.copy()
    prior[:, :, to] = model.prior[:, :, of]
    regulars_p0 = np.zeros((len(model.regulars), len(families)))
    regulars_p0[:, to] = model.regulars_p0[:, of]
    return replace(model, prior=prior, regulars_p0=regulars_p0, families=families, **made)


NEVER: Final = 1e9  # nats nobody comes to: a family with this threshold is deaf
STRENGTH: Final = {Null.OWN: 1.0}  # opportunities a stated share counts as, else 10


def defaults(families: Families | None = None) -> Model:
    """Stated conservative defaults, with nothing to learn from: thresholds for 20,000 entities at a slope of 1.5."""
    n = len(families := families or built_in())
    share = np.array([(0.5, 0.5) if family.rate else family.usual for family in families]).T
    strength = np.array([STRENGTH.get(family.null, 10.0) for family in families])
    prior = np.stack([share * strength, (1 - share) * strength], axis=-1)
    share_new = np.clip(1.0 - 0.02 * np.arange(POSITIONS), 0.5, 0.98)
    position = np.stack([share_new * 12, (1 - share_new) * 12], axis=-1)
    beta = np.full((KINDS_N, n), 1.5)
    entities = np.full((KINDS_N, n), 20_000, np.int64)
    rate = np.array([family.usual[0] if family.rate else 0.0 for family in families])
    return Model(
        prior=np.stack([prior] * KINDS_N),
        position=np.stack([position] * KINDS_N),
        h=thresholds(beta, entities),
        beta=beta,
        entities=entities,
        rate_per_s=np.stack([rate] * KINDS_N),
        span_s=0,
        made_from="defaults",
        regulars_p0=np.zeros((0, n)),
        families=families,
    )


BUDGET_PER_DAY: Final = 0.02  # false alarms a day and family
ENTITIES_MIN: Final = 1_000


def thresholds(beta: F64, entities: NDArray[np.int64]) -> F64:
    """H = beta ln(N / budget) by kind and family."""
    n = np.maximum(entities, ENTITIES_MIN)
    out: F64 = np.maximum(beta, 1.0) * np.log(n / BUDGET_PER_DAY)
    return out


def slopes(h: F64, beta: F64, entities: NDArray[np.int64]) -> F64:
    """The slopes that give `h`, the inverse of `thresholds`; `beta` where it gives it already, to the last digit."""
    given = thresholds(beta, entities)
    out: F64 = np.where(h == given, beta, np.maximum(beta, 1.0) * h / given)
    return out


def with_forests(model: Model, forests: Mapping[int, Forest]) -> Model:
    """`model` with other forests, by population."""
    named = {f"{number}.{name}": array for number, one in forests.items() for name, array in one.arrays().items()}
    return replace(model, forest=named)


def forests_of(model: Model) -> dict[int, Forest]:
    """The model's forests by `odd.population`. Raises KeyError or ValueError where their arrays are damaged."""
    out = {}
    for number in sorted({int(name.partition(".")[0]) for name in model.forest}):
        prefix = f"{number}."
        parts = {name.removeprefix(prefix): array for name, array in model.forest.items() if name.startswith(prefix)}
        out[number] = from_arrays(parts)
    return out
