"""Services that were just started are waited for; people hear why the first start of the stream takes long."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from floodwarden import starting
from floodwarden.embedded import free_port
from floodwarden.errors import CommandError
from floodwarden.leash import Leash
from floodwarden.starting import until_ready
from floodwarden.supervisor import Service, Supervisor


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory that a service shows: ready once there is a file `readyz` in it."""
    made = tmp_path / "site"
    made.mkdir()
    return made


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    with Leash() as leash:
        made = Supervisor(leash, tmp_path)
        yield made
        made.stop()


def start(supervisor: Supervisor, site: Path, name: str) -> dict[str, Service]:
    port = free_port()
    arguments = (str(port), "--bind", "127.0.0.1", "--directory", str(site))
    service = Service(name, "http.server", arguments, dict(os.environ), f"127.0.0.1:{port}")
    supervisor.start(service)
    return {name: service}


def test_who_waits_for_the_stream_hears_once_what_takes_so_long(
    supervisor: Supervisor, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "PATIENCE_S", 0.0)
    services, said, looks = start(supervisor, site, "stream"), list[str](), list[int]()

    def look() -> None:
        looks.append(len(said))
        if len(looks) == 3:
            (site / "readyz").touch()

    assert asyncio.run(until_ready(supervisor, services, lambda mark, text, _: said.append(f"{mark} {text}"), look))
    assert said == [
        "wait the stream is not ready yet: its first start on a machine compiles its loops, a minute or two"
    ]
    assert len(looks) >= 3


def test_nobody_waits_for_ever_and_a_stop_ends_it(
    supervisor: Supervisor, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "READY_S", 0.2)
    services, said = start(supervisor, site, "enforcer"), list[str]()
    with pytest.raises(CommandError, match=r"enforcer was not ready in 0\.2 s; its log ends:"):
        asyncio.run(until_ready(supervisor, services, lambda _, text, __: said.append(text), lambda: None))
    assert said == []
    assert not asyncio.run(until_ready(supervisor, services, lambda *_: None, lambda: None, lambda: True))
