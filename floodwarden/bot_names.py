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
from schemas.networks import address
from stream import rule_source

ADDRESSES_MAX: Final = 10_000
_AT_ONCE: Final = 16
NameOf = Callable[[str], str]
AddressesOf = Callable[[str], Sequence[str]]


def run(logs: Sequence[Path], out: Path) -> list[tuple[str, int, int]]:
    """Write `NAME.txt` of each crawler that has verified addresses; name, how many, of how many.

    Raises:
        CommandError: a log cannot be read, or the directory not written.
    """
    known = Bots(tuple(bot for bot in rule_source.known_bots() if bot.names))
    claims = claimed(logs, known)
    told = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for bot, ips in claims.items():
            own = verified(bot, sorted(ips), _name_of, _addresses_of)
            if own:
                text = "# verified by DNS and back, floodwarden rules verify-bots\n" + "\n".join(own) + "\n"
                (out / f"{bot.name}.txt").write_text(text)
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


def _name_of(ip: str) -> str:
    return socket.gethostbyaddr(ip)[0]


def _addresses_of(name: str) -> list[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(name, None)]
