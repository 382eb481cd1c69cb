"""The trained model: plain arrays with a signature. Nothing in the file is executed."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.errors import ArtifactError
from detectors.families import FAMILIES
from detectors.features import FEATURES
from detectors.forest import Forest, from_arrays

FORMAT: Final = 1
POSITIONS: Final = 24  # buckets of an entity's life, two an octave of requests
Array = NDArray[np.generic]
F64 = NDArray[np.float64]


def signature() -> str:
    """What an artifact must have been made for: format, families with their versions, features in their order."""
    families = ",".join(f"{f.name}/{f.version}:{f.q1}" for f in FAMILIES)
    return f"floodwarden-model/{FORMAT};{families};{','.join(FEATURES)}"


@dataclass(frozen=True)
class Model:
    """What is normal, and how much evidence is enough.

    `prior` (kind, population, family, 2): Beta of how clients differ; population 0 newcomer, 1 established.
    `position` (kind, bucket, 2): the same for `sweep`, by place in the entity's life.
    `h` (kind, family): thresholds in nats. `beta` (kind, family): the slope they came from. `entities` (kind, family):
    how many with an opportunity the thresholds stand for. `lambda0_per_s` (kind): refusals a second good clients come
    to in bursts.
    `regulars` (sorted owner hashes) and `regulars_p0` (owner, family): crawlers, batches, fleets known from the
    training, and the least null they are held to; near 1 where their ways are no evidence.
    `forest`: arrays of `detectors.forest` by `KIND.NAME` (empty: no forest, `odd` stays silent).
    `span_s`: how long the traffic was that it learned from; 0 for stated defaults.
    """

    prior: F64
    position: F64
    h: F64
    beta: F64
    entities: NDArray[np.int64]
    lambda0_per_s: F64
    span_s: int
    made_from: str = ""
    regulars: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    regulars_p0: F64 = field(default_factory=lambda: np.zeros((0, len(FAMILIES))))
    forest: Mapping[str, Array] = field(default_factory=dict)

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
            "lambda0_per_s": self.lambda0_per_s,
            "span_s": np.array(self.span_s),
            "regulars": self.regulars,
            "regulars_p0": self.regulars_p0,
            "made_from": np.frombuffer(self.made_from.encode(), np.uint8),
        }
        return named | {f"forest.{name}": array for name, array in self.forest.items()}


def save(model: Model, path: Path) -> None:
    """Write `model` to `path` (compressed npz, without time stamps: equal models give equal files)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        named = {"signature": np.frombuffer(signature().encode(), np.uint8)} | model.arrays()
        for name, array in sorted(named.items()):
            data = io.BytesIO()
            np.lib.format.write_array(data, np.ascontiguousarray(array) if array.ndim else array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), data.getvalue())


def load(path: Path | None = None) -> Model:
    """The model at `path`, the shipped one without.

    Raises:
        ArtifactError: it cannot be read, or was made for other families, features or format.
    """
    if path is None:
        data = resources.files("detectors").joinpath("data/default.npz").read_bytes()
        return _parse(data, "the shipped model")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error}); train one with `floodwarden train`") from error
    return _parse(data, str(path))


def _parse(data: bytes, name: str) -> Model:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            named: dict[str, Array] = {key: file[key] for key in file.files}
        made_for = named.pop("signature").tobytes().decode()
        if made_for != signature():
            raise ArtifactError(f"{name}: made for {made_for!r}, this version needs {signature()!r}; train it anew")
        forest = {key.removeprefix("forest."): value for key, value in named.items() if key.startswith("forest.")}
        model = Model(
            prior=np.asarray(named["prior"], np.float64),
            position=np.asarray(named["position"], np.float64),
            h=np.asarray(named["h"], np.float64),
            beta=np.asarray(named["beta"], np.float64),
            entities=np.asarray(named["entities"], np.int64),
            lambda0_per_s=np.asarray(named["lambda0_per_s"], np.float64),
            span_s=int(named["span_s"]),
            regulars=np.asarray(named["regulars"], np.uint64),
            regulars_p0=np.asarray(named["regulars_p0"], np.float64).reshape(-1, len(FAMILIES)),
            made_from=named["made_from"].tobytes().decode(),
            forest=forest,
        )
        forests_of(model)
    except (KeyError, ValueError, zipfile.BadZipFile, EOFError, OSError) as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(f"{name}: not a Floodwarden model ({error}); train one with `floodwarden train`") from error
    _check(model, name)
    return model


def _check(model: Model, name: str) -> None:
    blank = defaults()
    for part in ("prior", "position", "h", "beta", "entities", "lambda0_per_s"):
        have, want = getattr(model, part), getattr(blank, part)
        if have.shape != want.shape or not np.isfinite(have).all() or (have < 0).any():
            raise ArtifactError(f"{name}: {part} is damaged (shape {have.shape}, expected {want.shape}); train it anew")


def defaults() -> Model:
    """Stated conservative defaults, with nothing to learn from: thresholds for 20,000 entities at a slope of 1.5."""
    families = len(FAMILIES)
    # (newcomer, established) Beta a, b by family: guess, probe, novel, sweep (unused), limit, hammer (unused), odd
    by_family = [
        [(0.6, 14.4), (0.6, 14.4)],
        [(0.3, 9.7), (0.3, 9.7)],
        [(0.3, 9.7), (0.3, 9.7)],
        [(8.0, 2.0), (8.0, 2.0)],
        [(5.0, 5.0), (5.0, 5.0)],
        [(1.0, 9.0), (1.0, 9.0)],
        [(0.2, 19.8), (0.2, 19.8)],
    ]
    prior = np.transpose(np.array(by_family), (1, 0, 2))
    share_new = np.clip(1.0 - 0.02 * np.arange(POSITIONS), 0.5, 0.98)
    position = np.stack([share_new * 12, (1 - share_new) * 12], axis=-1)
    beta = np.full((2, families), 1.5)
    entities = np.full((2, families), 20_000, np.int64)
    return Model(
        prior=np.stack([prior, prior]),
        position=np.stack([position, position]),
        h=thresholds(beta, entities),
        beta=beta,
        entities=entities,
        lambda0_per_s=np.array([5.0, 5.0]),
        span_s=0,
        made_from="defaults",
    )


BUDGET_PER_DAY: Final = 0.02  # false alarms a day and family
ENTITIES_MIN: Final = 1_000


def thresholds(beta: F64, entities: NDArray[np.int64]) -> F64:
    """H = beta ln(N / budget) by kind and family."""
    n = np.maximum(entities, ENTITIES_MIN)
    out: F64 = np.maximum(beta, 1.0) * np.log(n / BUDGET_PER_DAY)
    return out


def with_forests(model: Model, forests: Mapping[int, Forest]) -> Model:
    """`model` with other forests, by kind."""
    named = {f"{kind}.{name}": array for kind, one in forests.items() for name, array in one.arrays().items()}
    return replace(model, forest=named)


def forests_of(model: Model) -> dict[int, Forest]:
    """The model's forests by kind. Raises KeyError or ValueError where their arrays are damaged."""
    kinds = sorted({int(name.partition(".")[0]) for name in model.forest})
    out = {}
    for kind in kinds:
        prefix = f"{kind}."
        parts = {name.removeprefix(prefix): array for name, array in model.forest.items() if name.startswith(prefix)}
        out[kind] = from_arrays(parts)
    return out
