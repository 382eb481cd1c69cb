"""Whom an action leaves alone: addresses a key is known from, or pairs of user and address that are known good.

They travel as marks, 32 bits of a hash each, sorted and packed: 131,072 of them are 699 kB, what fits one message. A
stranger passes for known with a chance of at most 1 in 32,768, and then meets the limits everybody meets (ADR 0053).
"""

from __future__ import annotations

import base64
import binascii
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address, ip_network
from itertools import islice
from operator import lt
from typing import Final

import xxhash
from pydantic import Field, field_validator

from schemas.alert import Frozen
from schemas.networks import address, marked, network, subscriber
from schemas.scrambled import scrambled

MARKS_MAX: Final = 131_072
NETWORKS_MAX: Final = 64
_MARK_BYTES: Final = 4


class ExemptBy(StrEnum):
    """What has to be known: the address, or the user together with the address.

    `pair` is the latter made of what the stream keeps, hashes and numbers: a reader that does not know it takes nothing
    of such an action, rather than hit whom it spares.
    """

    IP = "ip"
    USER_IP = "user_ip"
    PAIR = "pair"


class Exempt(Frozen):
    """The known good of one action. `networks` only with `by` ip; `marks` is base64 of sorted big-endian marks."""

    by: ExemptBy = Field(strict=False)
    networks: tuple[str, ...] = Field(default=(), max_length=NETWORKS_MAX, strict=False)
    marks: str = Field(default="", max_length=-(-MARKS_MAX * _MARK_BYTES // 3) * 4)

    @field_validator("networks")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            ip_network(one)
        return value

    @field_validator("marks")
    @classmethod
    def _are_marks(cls, value: str) -> str:
        unpacked(value)
        return value


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """An `Exempt` made ready to ask: O(log n), 4 bytes a mark. Equal only to itself: comparing would read them all."""

    by: ExemptBy
    networks: tuple[tuple[int, int, int], ...]  # version, host bits, network number
    marks: array[int]

    @classmethod
    def of(cls, by: ExemptBy, networks: Iterable[str], marks: str) -> Known:
        """Raises ValueError on what is no network or no marks."""
        nets = [ip_network(one) for one in networks]
        shifts = [(net.version, net.max_prefixlen - net.prefixlen, int(net.network_address)) for net in nets]
        return cls(by, tuple((version, bits, number >> bits) for version, bits, number in shifts), unpacked(marks))

    def spares(self, ip: str | None, user: str | None) -> bool:
        """Whether who asks is known good. Without an address, or a user where one is needed, nobody is."""
        if ip is None or (self.by is not ExemptBy.IP and user is None):
            return False
        if self.by is ExemptBy.PAIR:
            wanted = pair_mark(_hash(user or ""), subscriber(ip))
        else:
            wanted = mark(ip, user if self.by is ExemptBy.USER_IP else None)
        at = bisect_left(self.marks, wanted)
        if at < len(self.marks) and self.marks[at] == wanted:
            return True
        return bool(self.networks) and self._inside(ip)

    def _inside(self, ip: str) -> bool:
        try:
            asked = ip_address(ip)
        except ValueError:
            return False
        number = int(asked)
        return any(version == asked.version and number >> bits == inside for version, bits, inside in self.networks)


def mark(ip: str, user: str | None = None) -> int:
    """The mark of the client at an address, or of a user there (`schemas.networks.client`)."""
    return int(xxhash.xxh3_64_intdigest(f"{user or ''}\0{marked(ip)}".encode("utf-8", "surrogatepass"))) >> 32


def marks_in(marks: str) -> int:
    """How many there are, by the length of the text."""
    return (len(marks) // 4 * 3 - marks.count("=")) // _MARK_BYTES


def exempt_addresses(texts: Iterable[str]) -> Exempt:
    """Addresses and networks to be left alone.

    Raises:
        ValueError: one is neither, or there are too many; the message names it.
    """
    marks: set[int] = set()
    networks: set[str] = set()
    for text in texts:
        found = network(text.strip())
        if found.prefixlen == found.max_prefixlen:
            marks.add(mark(str(found.network_address)))
        else:
            networks.add(str(found))
    if len(networks) > NETWORKS_MAX:
        raise ValueError(f"{len(networks)} networks, at most {NETWORKS_MAX}")
    return Exempt(by=ExemptBy.IP, networks=tuple(sorted(networks)), marks=packed(marks))


def exempt_pairs(pairs: Iterable[tuple[str, str]]) -> Exempt:
    """Users, each at an address, to be left alone.

    Raises:
        ValueError: an address is none, or there are too many pairs; the message names it.
    """
    return Exempt(by=ExemptBy.USER_IP, marks=packed({mark(str(address(ip)), user) for user, ip in pairs}))


def pair_mark(user: int, subscriber: int) -> int:
    """The mark of one pair: of an account (`schemas.codec.text_hash`) at a subscriber (`schemas.networks`)."""
    return scrambled(user ^ scrambled(subscriber)) >> 32


def packed(marks: set[int]) -> str:
    """Marks as they travel.

    Raises:
        ValueError: more than `MARKS_MAX`.
    """
    return in_order(array("I", sorted(marks)))


def in_order(marks: array[int]) -> str:
    """Marks that are sorted, as they travel.

    Raises:
        ValueError: more than `MARKS_MAX`.
    """
    if len(marks) > MARKS_MAX:
        raise ValueError(f"{len(marks)} known good, at most {MARKS_MAX}")
    return base64.b64encode(_big_endian(array("I", marks)).tobytes()).decode()


def unpacked(text: str) -> array[int]:
    """Marks as `packed` made them.

    Raises:
        ValueError: no base64 of whole, sorted marks.
    """
    try:
        body = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("marks are no base64") from error
    if len(body) % _MARK_BYTES or len(body) > MARKS_MAX * _MARK_BYTES:
        raise ValueError(f"marks are {len(body)} bytes: whole marks have {_MARK_BYTES}, at most {MARKS_MAX} of them")
    marks = _big_endian(array("I", body))
    if not all(map(lt, marks, islice(marks, 1, None))):
        raise ValueError("marks are not in order")
    return marks


def _big_endian(marks: array[int]) -> array[int]:
    if sys.byteorder == "little":
        marks.byteswap()
    return marks


def _hash(text: str) -> int:
    """As `schemas.codec.text_hash`, without all that it brings along."""
    return int(xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))) or 1
