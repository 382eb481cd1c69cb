"""Whether what a key is refused is a fleet's, whose devices all come at once, or one machine's that runs on.

After an outage hundreds of devices behind one key hand in what they kept: together far beyond its limit, each of them a
few times. A key that is abused is refused again and again at one address, or at a handful.
"""

from __future__ import annotations

from typing import Final

from detectors.columns import KEY
from detectors.cusum import Track
from detectors.families import Each, Family

EACH_MAX: Final = 2.0  # refusals of an address in the seconds in which it has any: of a fleet's, which does not run on


def is_fleet(family: Family, kind: int, track: Track) -> bool:
    """Whether a key's refusals, as `track` counts them, come of many addresses that each have few."""
    return kind == KEY and family.each is Each.REFUSAL and track.marks <= EACH_MAX * track.distinct
