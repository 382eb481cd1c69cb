from __future__ import annotations

import io
import random
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from detectors_traffic import site

from detectors import artifact
from detectors.artifact import Model
from detectors.errors import ArtifactError
from detectors.family_file import built_in
from stream import train


def test_a_model_survives_its_file(tmp_path: Path) -> None:
    model = train.learn(site(1, span_s=9_000))
    artifact.save(model, tmp_path / "m.npz")
    again = artifact.load(tmp_path / "m.npz")
    assert again.version == model.version
    assert again.span_s == model.span_s


def test_equal_models_give_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        artifact.save(train.learn(site(2, span_s=9_000)), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_model_of_other_families_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = artifact.defaults()
    with monkeypatch.context() as patch:
        patch.setattr(artifact, "FORMAT", 999)
        artifact.save(model, tmp_path / "m.npz")
    with pytest.raises(ArtifactError, match="made for"):
        artifact.load(tmp_path / "m.npz")


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04damaged"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.npz").write_bytes(content)
    with pytest.raises(ArtifactError, match="floodwarden train"):
        artifact.load(tmp_path / "m.npz")


def test_however_a_file_is_damaged_it_is_a_model_or_refused(tmp_path: Path) -> None:
    artifact.save(artifact.defaults(), tmp_path / "m.npz")
    whole, at = (tmp_path / "m.npz").read_bytes(), random.Random(1)
    refused = 0
    for _ in range(400):
        data = bytearray(whole)
        data[at.randrange(len(data))] = at.randrange(256)
        if at.random() < 0.1:
            del data[at.randrange(len(data)) :]
        with suppress(ArtifactError):
            artifact.parse(bytes(data), "m", built_in())
            continue
        refused += 1
    assert refused > 300


def test_a_file_that_unpacks_to_more_than_memory_may_hold_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = io.BytesIO()
    np.savez_compressed(packed, h=np.zeros(1 << 17))
    assert len(packed.getvalue()) < 2_000
    monkeypatch.setattr(artifact, "UNPACKED_MAX", 1 << 20)
    with pytest.raises(ArtifactError, match="more than 1 MiB unpacked"):
        artifact.parse(packed.getvalue(), "m", built_in())


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be read"):
        artifact.load(tmp_path / "none.npz")


def test_a_damaged_array_is_refused(tmp_path: Path) -> None:
    model = artifact.defaults()
    artifact.save(Model(**{**_parts(model), "h": np.full_like(model.h, np.nan)}), tmp_path / "m.npz")
    with pytest.raises(ArtifactError, match="h is damaged"):
        artifact.load(tmp_path / "m.npz")


def test_the_shipped_model_loads() -> None:
    model = artifact.load()
    assert model.span_s >= 86_000
    assert (model.h > 5).all()


def test_too_little_traffic_leaves_the_stated_slopes() -> None:
    model = train.learn(site(3, span_s=600))
    assert (model.beta == artifact.defaults().beta).all()


def _parts(model: Model) -> dict[str, object]:
    return {name: getattr(model, name) for name in Model.__dataclass_fields__}
