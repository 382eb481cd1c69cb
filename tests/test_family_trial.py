"""`floodwarden families try`: families of a file on recorded traffic, beside those in force."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from own_families import OWN
from typer.testing import CliRunner

from detectors import artifact
from detectors.columns import Finding
from detectors.evidence import Engine
from detectors.families import Families
from detectors.family_file import built_in
from detectors.family_pair import pair
from floodwarden.cli import app
from floodwarden.errors import CommandError
from floodwarden.family_told import source
from floodwarden.family_trial import Counts, FamilyTrial, run
from floodwarden.formats import Rejects
from floodwarden.traffic import Sources
from schemas.decision import Decision
from schemas.errors import FileError
from schemas.settings import Settings
from stream.train import gather

T0_MS = 1_767_571_200_000
BUYER = "203.0.113.9"
GUESSER = "198.51.100.9"


def people() -> list[Decision]:
    """Forty visitors who go round ten pages."""
    return [
        Decision(
            ts_ms=T0_MS + i * 8_000, verdict="allow", status=200, method="GET", ip=f"192.0.2.{i % 40}",
            route=f"/p/{i % 10}", path=f"/p/{i % 10}",
        )
        for i in range(900)
    ]  # fmt: skip


def baskets(agent: str, ip: str = BUYER) -> list[Decision]:
    """Thirty baskets in half a minute."""
    return [
        Decision(
            ts_ms=T0_MS + 7_200_000 + i * 1_000, verdict="allow", status=200, method="POST", ip=ip, tenant="acme",
            route="/cart/items", path="/cart/items", ua=agent,
        )
        for i in range(30)
    ]  # fmt: skip


def guesses() -> list[Decision]:
    """Thirty failed logins in half a minute."""
    return [
        Decision(
            ts_ms=T0_MS + 7_000_000 + i * 1_000, verdict="allow", status=401, method="POST", ip=GUESSER,
            route="/login", path="/login", user=f"user{i}", ua="curl/8",
        )
        for i in range(30)
    ]  # fmt: skip


@pytest.fixture
def log(tmp_path: Path) -> Path:
    rows = sorted([*people(), *baskets("curl/8"), *guesses()], key=lambda row: row.ts_ms)
    file = tmp_path / "day.jsonl"
    file.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    return file


def tried(log: Path, text: str, own: str = "") -> FamilyTrial:
    """`text` beside the built-in families and `own`."""
    (log.parent / "new.yml").write_text(text)
    in_force = log.parent / "own.yml" if own else None
    if in_force is not None:
        in_force.write_text(own)
    settings = Settings.model_construct(families=in_force, data_dir=log.parent)
    return run(settings, log.parent / "new.yml", Sources((str(log),)))


def test_a_new_family_says_whom_it_would_have_hit(log: Path) -> None:
    found = tried(log, OWN)
    [family] = found.families
    assert (family.name, family.against, family.counts) == ("scalping", "", Counts(0, 0, 1, 0))
    assert (family.answers, family.populations, family.tenants) == ({"deny": 1}, {"newcomer": 1}, {"acme": 1})
    [told] = found.incidents
    assert (told.kind, told.entity, told.tenant, told.live, told.tried) == ("ip", BUYER, "acme", None, "deny")
    assert told.sentence.endswith("baskets in 8 s")
    assert told.examples == ("/cart/items",)
    assert (found.decisions, found.others) == (960, {})


def test_another_version_of_an_own_family_is_held_to_the_one_in_force(log: Path) -> None:
    enforced = OWN + "    enforce: yes\n"
    same = tried(log, OWN, enforced).families[0]
    assert (same.against, same.counts) == ("scalping/1", Counts(1, 0, 0, 0))
    other = tried(log, OWN.replace("begins: curl/", "begins: python-"), enforced)
    assert other.families[0].counts == Counts(0, 0, 0, 1)
    assert [(one.entity, one.live, one.tried) for one in other.incidents] == [(BUYER, "deny", None)]


def test_of_a_family_in_shadow_it_says_who_is_only_told_of_today(log: Path) -> None:
    found = tried(log, OWN, OWN)
    assert (found.families[0].against, found.families[0].counts) == ("scalping/1 in shadow", Counts(1, 1, 0, 0))
    assert [(one.live, one.tried) for one in found.incidents] == [("notice", "deny")]


def test_a_family_of_a_built_in_name_is_held_to_the_built_in_one_although_it_is_in_shadow(log: Path) -> None:
    [guess] = [family for family in built_in() if family.name == "guess"]
    milder = source("guess", guess).replace("deny", "challenge")
    found = tried(log, milder, own=milder)
    assert (found.families[0].against, found.families[0].counts) == (f"guess/{guess.version}", Counts(1, 1, 0, 0))
    assert [(one.entity, one.live, one.tried) for one in found.incidents] == [(GUESSER, "deny", "challenge")]


def judged(log: Path, live: Families, carried: Families) -> list[Finding]:
    flows = gather(Sources((str(log),)).batches(Rejects()), ("*login*",), carried)
    return Engine(artifact.load(families=live)).close(flows, T0_MS // 1000 + 10_000)


def test_who_is_tried_beside_them_changes_nothing_of_what_the_families_in_force_say(log: Path) -> None:
    """Their conditions split a client's flows: no count and no evidence comes out another."""
    (log.parent / "new.yml").write_text(OWN)
    both = pair(None, log.parent / "new.yml")
    alone = judged(log, built_in(), built_in())
    assert {finding.family for finding in alone} >= {"guess"}
    assert judged(log, both.live, both.both) == alone


def test_more_conditions_than_flows_carry_are_refused(tmp_path: Path) -> None:
    one = OWN.partition("families:\n")[2]
    many = [one.replace("scalping", f"s{i}").replace("/cart/*", f"/cart/{i}") for i in range(60)]
    (tmp_path / "new.yml").write_text("version: 1\nfamilies:\n" + "".join(many))
    with pytest.raises(FileError, match="at most"):
        pair(None, tmp_path / "new.yml")


def test_the_command_tells_people_and_programs(log: Path, tmp_path: Path) -> None:
    (tmp_path / "new.yml").write_text(OWN)

    def said(*more: str) -> str:
        words = ["families", "try", str(tmp_path / "new.yml"), str(log), *more]
        told = CliRunner().invoke(app, words, env={"FLOODWARDEN_DATA_DIR": str(tmp_path)})
        assert told.exit_code == 0, told.output
        return told.stdout

    text = said()
    assert "enforced, on 960 decisions of 2.0 h from day.jsonl, beside today's families" in text
    assert f"would be hit: ip {BUYER}, newcomer, of acme, scalping, deny, 2026-01-05 02:00" in text
    assert "scalping, by tenant: acme 1" in text
    found = json.loads(said("--json"))
    assert found["families"][0]["counts"] == {"both": 0, "otherwise": 0, "only_tried": 1, "only_live": 0}
    assert found["incidents"][0]["entity"] == BUYER


def test_traffic_that_holds_nothing_is_an_error(log: Path) -> None:
    log.write_text("")
    with pytest.raises(CommandError, match=r"no request in day\.jsonl"):
        tried(log, OWN)
