"""Country and network of a client by the operator's own databases."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from floodwarden.formats import Rejects
from floodwarden.traffic import Sources
from limiter.identity import Identifier
from limiter.places import KEPT_MAX, LOOK_EVERY_S, Places
from limiter.wire import Check, request
from schemas import codec
from schemas.errors import SettingsError
from schemas.settings import Settings


def database(path: Path, records: dict[str, Any]) -> Path:
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True)
    for network, record in records.items():
        writer.insert_network(IPSet([network]), record)
    made = path.with_suffix(".new")
    writer.to_db_file(str(made))
    made.replace(path)
    return path


@pytest.fixture
def country(tmp_path: Path) -> Path:
    return database(tmp_path / "country.mmdb", {"203.0.113.0/24": {"country": {"iso_code": "DE"}}})


@pytest.fixture
def asn(tmp_path: Path) -> Path:
    return database(tmp_path / "asn.mmdb", {"203.0.113.0/24": {"autonomous_system_number": 64500}})


def test_each_database_tells_what_it_has(country: Path, asn: Path) -> None:
    places = Places(f"{country}, {asn}")
    assert places.of("203.0.113.7") == {"country": "DE", "asn": "64500"}
    assert places.of("192.0.2.1") == places.of(None) == places.of("nowhere") == {}


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"country": "fr", "asn": "AS64501"}, {"country": "FR", "asn": "64501"}),
        ({"country_code": "FR"}, {"country": "FR"}),
        ({"registered_country": {"iso_code": "FR"}}, {"country": "FR"}),
        ({"country": {"names": {"en": "France"}}, "asn": "none"}, {}),
    ],
)
def test_other_makers_words_are_understood(tmp_path: Path, record: dict[str, Any], said: dict[str, str]) -> None:
    assert Places(str(database(tmp_path / "other.mmdb", {"2001:db8::/32": record}))).of("2001:db8::7") == said


def test_a_trusted_proxy_and_a_gateway_know_better(country: Path, asn: Path) -> None:
    identifier = Identifier(Settings(geoip=f"{country},{asn}", country_header="x-country", service="shop"))
    said = {"x-country": "AT"}.get
    assert identifier.attributes("127.0.0.1", "203.0.113.7", said, []) == {
        "country": "AT", "asn": "64500", "service": "shop",
    }  # fmt: skip
    assert identifier.attributes("198.51.100.1", "203.0.113.7", said, []) == {
        "country": "DE", "asn": "64500", "service": "shop",
    }  # fmt: skip
    asked = request(Check(ip="203.0.113.7", method="GET", path="/", attributes={"country": "CH"}), identifier)
    assert asked.attributes == {"country": "CH", "asn": "64500", "service": "shop"}


def test_a_database_is_read_again_when_it_changes_and_kept_when_it_breaks(country: Path) -> None:
    now_s = 0.0
    places = Places(str(country), lambda: now_s)
    assert places.of("203.0.113.7") == {"country": "DE"}
    database(country, {"203.0.113.0/24": {"country": {"iso_code": "FR"}}})
    assert places.of("203.0.113.7") == {"country": "DE"}
    now_s += LOOK_EVERY_S
    assert places.of("203.0.113.7") == {"country": "FR"}
    broken = country.with_suffix(".broken")
    broken.write_bytes(b"no database")
    os.replace(broken, country)  # noqa: PTH105 - as an updater does
    now_s += LOOK_EVERY_S
    assert places.of("203.0.113.7") == {"country": "FR"}


def test_what_is_remembered_is_bounded(country: Path) -> None:
    places = Places(str(country))
    for number in range(KEPT_MAX + 10):
        places.of(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(places._kept) == 10


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"FLOODWARDEN_GEOIP: .*absent.mmdb: No such file"):
        Places(str(tmp_path / "absent.mmdb"))
    (tmp_path / "text.mmdb").write_text("no", "utf-8")
    with pytest.raises(SettingsError, match=r"FLOODWARDEN_GEOIP: .*text.mmdb"):
        Places(str(tmp_path / "text.mmdb"))


def test_recorded_traffic_is_located_as_a_limiters_is(country: Path, asn: Path, tmp_path: Path) -> None:
    log = tmp_path / "decisions.jsonl"
    rows = [{"ip": "203.0.113.7"}, {"ip": "203.0.113.7", "country": "AT"}, {"ip": "192.0.2.1"}]
    log.write_text("".join(json.dumps({"ts_ms": 1_760_000_000_000, "verdict": "allow"} | row) + "\n" for row in rows))
    sources = Sources((str(log),), geoip=f"{country},{asn}")
    found = [row for batch in sources.batches(Rejects()) for row in codec.to_rows(batch)]
    assert [(row.country, row.asn) for row in found] == [("DE", 64500), ("AT", 64500), (None, None)]
    unlocated = [row for batch in Sources((str(log),)).batches(Rejects()) for row in codec.to_rows(batch)]
    assert [row.country for row in unlocated] == [None, "AT", None]
