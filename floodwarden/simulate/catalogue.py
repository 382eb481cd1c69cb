"""All families and good cases there are: those the detectors are tuned with, and those kept for judging.

A module of this package whose name begins with `first_sight` is found by its name; everything declared in it is of
first sight: left out of `all`, of what is learned from, and reported apart.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Final

from floodwarden.simulate import declare
from floodwarden.simulate.declare import Case, Family

_MODULES: Final = (
    "people", "machines", "incidents", "incidents_people", "incidents_machines", "incidents_crowds",
    "incidents_programs", "attacks_login", "attacks_access", "attacks_shop", "attacks_accounts", "attacks_reading",
    "attacks_costs", "subscribers", "attacks_identity", "attacks_rights", "attacks_trade", "attacks_expense",
    "attacks_doors", "attacks_keys", "attacks_crawls", "attacks_market", "incidents_guests", "incidents_works",
    "incidents_jobs", "attacks_takeovers", "attacks_swindles", "attacks_tills", "attacks_voices", "attacks_harvest",
    "attacks_probes", "attacks_burdens", "attacks_things", "incidents_gatherings", "incidents_houses",
    "incidents_mishaps", "incidents_visitors", "incidents_upkeep", "incidents_networks",
    "attacks_agents", "incidents_apparatus", "incidents_appliances", "incidents_batches", "incidents_contracts",
    "attacks_faults", "attacks_gleaning", "attacks_handsets", "attacks_insiders", "attacks_load",
    "attacks_messages", "incidents_pathways", "incidents_plumbing", "attacks_readers", "attacks_recovery",
    "incidents_shoppers", "attacks_tokens", "attacks_torrents", "attacks_wallets", "attacks_writes",
    "attacks_facades", "attacks_insides", "incidents_desks", "incidents_links", "incidents_occasions",
    "incidents_renewals", "incidents_aftermaths", "incidents_errands",
)  # fmt: skip
_PACKAGE: Final = __name__.rpartition(".")[0]


def _declared() -> None:
    package = import_module(_PACKAGE)
    found = sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.name.startswith(declare.FIRST_SIGHT))
    for name in (*_MODULES, *found):
        import_module(f"{_PACKAGE}.{name}")


def families(*, first_sight: bool | None = None) -> dict[str, Family]:
    """Families of attacks by name, all of them or those (not) of first sight."""
    return {n: f for n, f in declare.families.items() if first_sight in (None, f.first_sight)}


def cases(*, first_sight: bool | None = None) -> dict[str, Case]:
    """Good cases by name, all of them or those (not) of first sight."""
    return {n: c for n, c in declare.cases.items() if first_sight in (None, c.first_sight)}


def usual_cases() -> frozenset[str]:
    """Cases that are part of every day."""
    return frozenset(name for name, one in declare.cases.items() if one.usual)


_declared()
