"""`floodwarden calibrate` on files."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from detectors import artifact
from enforcer.store.labels import Judged
from floodwarden import calibrating, training
from floodwarden.errors import CommandError
from floodwarden.traffic import Sources
from schemas.decision import Decision
from schemas.settings import Settings

T0_MS = 1_767_571_200_000


def visits(n: int = 900, span_ms: int = 8_000_000) -> list[Decision]:
    """Forty visitors who go round ten pages."""
    return [
        Decision(
            ts_ms=T0_MS + i * span_ms // n, verdict="allow", status=200, method="GET",
            ip=f"192.0.2.{i % 40}", route=f"/p/{i % 10}", path=f"/p/{i % 10}",
        )
        for i in range(n)
    ]  # fmt: skip


def guesses(at_ms: int) -> list[Decision]:
    """Thirty failed logins in half a minute."""
    return [
        Decision(
            ts_ms=T0_MS + at_ms + i * 1_000, verdict="allow", status=401, method="POST",
            ip="198.51.100.9", route="/login", path="/login", user=f"user{i}",
        )
        for i in range(30)
    ]  # fmt: skip


def written(path: Path, rows: list[Decision]) -> Sources:
    rows.sort(key=lambda row: row.ts_ms)
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    return Sources((str(path),))


def test_a_clean_file_sets_the_thresholds_of_the_model_in_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "m.npz"
    sources = written(tmp_path / "day.jsonl", visits())
    for as_json in (True, False):
        calibrating.run(sources, out, model=None, as_json=as_json, settings=Settings.model_construct())
    first, *text = capsys.readouterr().out.splitlines()
    told = msgspec.json.decode(first)
    assert (told["decisions"], told["version"]) == (900, artifact.load(out).version)
    assert told["version"] != told["from_version"]
    assert f"model {told['version']}" in " ".join(text)


def test_a_file_with_an_attack_in_it_is_refused_with_the_address_by_name_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    sources = written(tmp_path / "day.jsonl", visits() + guesses(4_000_000))
    with pytest.raises(CommandError, match=r"not clean: 1 in it(.|\n)*guess by 198\.51\.100\.9 from"):
        calibrating.run(sources, tmp_path / "m.npz", model=None, as_json=True, settings=Settings.model_construct())
    assert not (tmp_path / "m.npz").exists()


def test_who_was_labelled_is_not_held_against_the_span_and_what_that_moved_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answered = [msgspec.structs.replace(row, verdict="deny") for row in guesses(4_100_000)]
    sources = written(tmp_path / "day.jsonl", visits() + guesses(4_000_000)[:10] + answered)
    out = tmp_path / "m.npz"
    for as_json in (True, False):
        calibrating.run(
            sources, out, model=None, as_json=as_json, settings=Settings.model_construct(),
            labels=[Judged("ip:198.51.100.9", "guess", true=False), Judged("route:/login", "guess", true=True)],
        )  # fmt: skip
    first, *text = capsys.readouterr().out.splitlines()
    [moved] = msgspec.json.decode(first)["moved"]
    assert (moved["family"], moved["kind"]) == ("guess", "ip")
    assert moved["base"] < moved["h"]
    assert any(line.startswith("guess, ip: clients labelled false positives came to") for line in text)


def trained(at: Path, rows: list[Decision], *said: Judged) -> str:
    """The model of a file with these rows, of whom people `said` something."""
    at.mkdir()
    settings = Settings.model_construct(data_dir=at)
    sources = written(at / "day.jsonl", rows)
    training.run(sources, at / "m.npz", clean=True, seed=1, as_json=True, settings=settings, labels=said)
    return artifact.load(at / "m.npz").version


def test_nothing_is_learned_of_who_was_rightly_found_and_all_of_who_was_not(tmp_path: Path) -> None:
    whole, who = visits() + guesses(4_000_000), "ip:198.51.100.9"
    without, everybody = trained(tmp_path / "a", visits()), trained(tmp_path / "b", whole)
    assert without != everybody
    assert trained(tmp_path / "c", whole, Judged(who, "guess", true=True)) == without
    assert trained(tmp_path / "d", whole, Judged(who, "guess", true=False)) == everybody
