"""Recorded attacks and clean cases of CrowdSec's hub, and recorded days of real sites: through `replay`, as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from floodwarden.replay import ReplayOptions, replay
from schemas.settings import Settings

NAMES = (
    "CVE-2022-26134", "CVE-2022-35914", "CVE-2022-42889", "apache2-http-sensitive-files", "apache2-logs",
    "apache2-malformed", "apache_log4j2_cve-2021-44228", "apiscp-bf", "calibre-web-whitelist", "cve_2022_37042",
    "http-dos-random-uri", "http-dos-switching-ua", "http-wordpress-scan", "http-wordpress_wpconfig",
    "nextcloud-whitelist", "nginx-http-generic-bf", "nginx-http-malformed", "nginx-http-open-proxy",
    "nginx-http-path-traversal", "nginx-http-sensitive-files", "nginx-http-xss-probing", "nginx_req_limit_exceeded",
    "rocketchat-whitelist", "sap-probing", "spring4shell_cve-2022-22965", "zoneminder_cve-39290",
    "zoneminder_cve-39291",
)  # fmt: skip
OF_FAMILIES = {"guess": "http:bruteforce/http", "probe": "http:scan/http"}


@pytest.fixture(scope="session")
def cases(shared_data: Path) -> dict[str, dict[str, Any]]:
    return {case["name"]: case for case in json.loads((shared_data / "hub-cases" / "cases.json").read_text())}


def kind_of(behaviour: str) -> str:
    """`http:exploit/apache` -> `http:exploit`: whose exploit it is, others name in other words."""
    return behaviour.partition("/")[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_case_is_judged_as_its_authors_expect(
    shared_data: Path, cases: dict[str, dict[str, Any]], name: str
) -> None:
    case = cases[name]
    found = replay([shared_data / "hub-cases" / case["file"]], ReplayOptions(), Settings())
    if case["negative"]:
        assert found.incidents == []
        return
    told = {
        (i.alert.entity.value, kind_of(i.alert.behaviour or OF_FAMILIES.get(i.alert.kind, ""))) for i in found.incidents
    }
    wanted = {(source, kind_of(behaviour)) for source in case["sources"] for behaviour in case["behaviour"]}
    assert wanted <= told
