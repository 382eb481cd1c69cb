"""`floodwarden rules verify-bots`: which addresses are the crawlers they say they are, by DNS and back again.

A crawler's operator names its addresses (`crawl-192-0-2-1.googlebot.com`), and the name leads back to the address: who
only sets up the first half for his own address does not hold the second. It takes seconds a name and the network, so it
is asked here, of logs, and written down; a limiter or the stream never waits for it.
"""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa

from detectors.bots import Bot, Bots
from floodwarden.errors import CommandError
from floodwarden.formats import Rejects, read
from schemas.crawlers import VERIFIED
from schemas.networks import address
from stream import rule_source

ADDRESSES_MAX: Final = 10_000
_AT_ONCE: Final = 16
_HEAD: Final = "# looked up by name and back (floodwarden rules verify-bots)\n"
NameOf = Callable[[str], str]
AddressesOf = Callable[[str], Sequence[str]]


def _name_of(ip: str) -> str:
    return socket.gethostbyaddr(ip)[0]


def _addresses_of(name: str) -> list[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(name, None)]


def run(
    logs: Sequence[Path], out: Path, name_of: NameOf = _name_of, addresses_of: AddressesOf = _addresses_of
) -> list[tuple[str, int, int]]:
    """Add each crawler's verified addresses to its `NAME.verified.txt` in `out`; name, how many, of how many.

    Raises:
        CommandError: a log cannot be read, or the directory not written.
        FileError: a crawler that the directory declares cannot be taken.
    """
    known = Bots(tuple(bot for bot in rule_source.known_bots(out) if bot.names))
    claims = claimed(logs, known)
    told = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for bot, ips in claims.items():
            own = verified(bot, sorted(ips), name_of, addresses_of)
            if own:
                _add(out / f"{bot.name}{VERIFIED}.txt", own)
            told.append((bot.name, len(own), len(ips)))
    except OSError as error:
        raise CommandError(f"{out}: cannot be written ({error.strerror or error})") from error
    return told


def claimed(logs: Sequence[Path], known: Bots) -> dict[Bot, set[str]]:
    """Addresses that say they are a crawler, at most `ADDRESSES_MAX` of each."""
    found: dict[Bot, set[str]] = defaultdict(set)
    for part in read(logs, rejects=Rejects()):
        texts = pa.Table.from_batches([part.batch.select(["ip", "ua"])])
        pairs = pl.DataFrame(pl.from_arrow(texts)).cast(pl.String).drop_nulls().unique()
        for ip, agent in pairs.rows():
            bot = known.claimed(agent)
            if bot is not None and len(found[bot]) < ADDRESSES_MAX:
                found[bot].add(ip)
    return found


def verified(bot: Bot, ips: Sequence[str], name_of: NameOf, addresses_of: AddressesOf) -> list[str]:
    """Of these addresses those whose name is in the crawler's domains and leads back to them."""

    def own(ip: str) -> bool:
        try:
            name = name_of(ip).rstrip(".").lower()
            return name.endswith(tuple(f".{domain}" for domain in bot.names)) and address(ip) in {
                address(each) for each in addresses_of(name)
            }
        except (OSError, ValueError):  # no name, no such name, no address
            return False

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [ip for ip, holds in zip(ips, pool.map(own, ips), strict=True) if holds]


def _add(path: Path, addresses: Sequence[str]) -> None:
    """What stands there stays: the addresses of another day's log are the crawler's, too."""
    text = path.read_text(encoding="utf-8") if path.exists() else _HEAD
    there = set(text.splitlines())
    path.write_text(text + "".join(f"{one}\n" for one in addresses if one not in there), encoding="utf-8")
