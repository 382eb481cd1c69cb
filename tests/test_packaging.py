from __future__ import annotations

import tomllib
from importlib import metadata

from servers import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
ROOMS = set(PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])


def test_no_other_installed_distribution_owns_our_top_level_names() -> None:
    owners = metadata.packages_distributions()
    assert {room: set(owners.get(room, [])) - {"floodwarden"} for room in ROOMS} == {room: set() for room in ROOMS}


def test_the_distribution_can_never_be_uploaded_by_mistake() -> None:
    assert "Private :: Do Not Upload" in PYPROJECT["project"]["classifiers"]


def test_every_room_is_packed_and_typed() -> None:
    assert all((ROOT / room / "py.typed").exists() and (ROOT / room / "__init__.py").exists() for room in ROOMS)


def test_the_image_copies_every_room() -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
    assert all(f"COPY {room} {room}\n" in dockerfile for room in ROOMS)
