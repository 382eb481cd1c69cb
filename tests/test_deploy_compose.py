"""What ships for Docker fits together, as far as can be told without Docker."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from servers import ROOT

from floodwarden.__main__ import app
from limiter.ingest.mapping_file import load
from schemas.settings import PREFIX, Settings

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("floodwarden")]
KNOWN = {PREFIX + name.upper() for name in Settings.model_fields}


def targets() -> set[str]:
    return set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE))


@pytest.mark.parametrize("name", OURS)
def test_a_service_is_given_settings_that_there_are_with_values_we_take(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {key: value for key, value in SERVICES[name]["environment"].items() if key != "FLOODWARDEN_SECRET"}
    assert set(given) <= KNOWN
    for key, value in given.items():
        monkeypatch.setenv(key, value)
    assert Settings().kafka == "kafka:9092"


def test_the_image_is_given_settings_that_there_are() -> None:
    assert set(re.findall(rf"\b{PREFIX}[A-Z_]+", DOCKERFILE)) <= KNOWN


def test_each_image_is_built_from_a_target_that_there_is() -> None:
    built = {service["image"]: service["build"]["target"] for service in SERVICES.values() if "build" in service}
    assert set(built.values()) <= targets()
    assert {SERVICES[name]["image"] for name in OURS} == set(built)


def test_no_image_of_ours_is_ever_sought_at_a_registry() -> None:
    for name in OURS:
        assert "build" in SERVICES[name] or SERVICES[name]["pull_policy"] == "never", name


def test_each_target_and_service_runs_a_command_that_there_is() -> None:
    command = typer.main.get_command(app)
    known = set(getattr(command, "commands", {}))
    run = re.findall(r'^CMD \["(\w+)"\]$', DOCKERFILE, re.MULTILINE)
    run += [service["command"][0] for name, service in SERVICES.items() if name in OURS and "command" in service]
    assert {"limiter", "stream", "enforcer", "meter", "ingest", "simulate"} == set(run)
    assert set(run) <= known


def test_the_mapping_of_the_profile_ingest_is_one_that_is_taken_and_lies_where_it_is_looked_for() -> None:
    service = SERVICES["ingest"]
    assert service["profiles"] == ["ingest"]
    assert "./deploy/ingest:/etc/floodwarden:ro" in service["volumes"]
    file = ROOT / "deploy/ingest" / Path(service["environment"]["FLOODWARDEN_INGEST"]).name
    assert [source.name for source in load(file)] == ["gateway", "logs"]


def test_the_traffic_is_one_the_simulator_can_play() -> None:
    command = typer.main.get_command(app)
    _, *arguments = SERVICES["traffic"]["command"]
    simulate = getattr(command, "commands", {})["simulate"]
    given = simulate.make_context("simulate", list(arguments)).params
    assert given["ask"]
    assert given["now"]
    assert min(float(attack.partition("@")[2]) for attack in given["attack"]) < 60
    assert set(given["to"].split(",")) == {f"http://{name}:8080" for name in SERVICES if name.startswith("limiter-")}


def test_nothing_runs_as_root_and_nothing_is_imported_from_the_working_directory() -> None:
    assert DOCKERFILE.index("\nUSER floodwarden\n") < DOCKERFILE.index("\nENTRYPOINT ")
    assert "PYTHONSAFEPATH=1" in DOCKERFILE


def test_only_loopback_is_published_and_every_server_says_how_it_is() -> None:
    for name, service in SERVICES.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert "healthcheck" in service or name == "traffic"
