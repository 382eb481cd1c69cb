"""What can be simulated, for `floodwarden simulate --list`."""

from __future__ import annotations

from floodwarden.cli_output import console, listing
from floodwarden.simulate import catalogue
from floodwarden.simulate.declare import Case, Family

_SETS = {False: "tuned", True: "first sight"}


def show(*, as_json: bool) -> None:
    """Print families of attacks, then good cases."""
    families, cases = list(catalogue.families().values()), list(catalogue.cases().values())
    columns = {
        "attack": [one.name for one in families],
        "set": [_SETS[one.first_sight] for one in families],
        "OWASP": [one.oat for one in families],
        "": [_about(one) for one in families],
    }
    listing(as_json, [_family_record(one) for one in families], columns, "")
    if not as_json:
        console().print()
    columns = {
        "good case": [one.name for one in cases],
        "set": [_SETS[one.first_sight] for one in cases],
        "when": ["every day" if one.usual else "once" for one in cases],
        "": [_about(one) for one in cases],
    }
    listing(as_json, [_case_record(one) for one in cases], columns, "")


def _family_record(one: Family) -> dict[str, object]:
    strengths = {
        name: {"sources": how.sources, "per_minute": how.per_minute, "lasts_s": how.lasts_s}
        for name, how in one.strengths.items()
    }
    about = {"about": one.about, "owasp": one.oat, "first_sight": one.first_sight, "source": one.source}
    return {"type": "attack", "name": one.name, **about, "strengths": strengths}


def _case_record(one: Case) -> dict[str, object]:
    return {
        "type": "case",
        "name": one.name,
        "about": one.about,
        "every_day": one.usual,
        "first_sight": one.first_sight,
        "source": one.source,
    }


def _about(one: Family | Case) -> str:
    return f"{one.about} Source: {one.source}" if one.source else one.about
