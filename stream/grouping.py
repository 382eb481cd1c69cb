"""Arithmetic on whole columns that combine and detect share: grouped rows, mixed hashes, ranked flows."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Bool = NDArray[np.bool_]
T = TypeVar("T", np.int64, np.uint64)


def mixed(values: U64) -> U64:
    """A bijection of 64-bit words in which every input bit moves every output bit (SplitMix64's finaliser)."""
    x = values ^ (values >> np.uint64(30))
    x = x * np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x


def grouped(keys: I64, bound: int) -> tuple[I64, I64]:
    """A group number per row and the key of each group; keys lie in [0, bound)."""
    if bound <= 4 * len(keys) + 1024:
        seen = np.zeros(bound, np.bool_)
        seen[keys] = True
        uniques = np.flatnonzero(seen).astype(np.int64)
        return (np.cumsum(seen) - 1)[keys], uniques
    return distinct(keys)


def distinct(keys: NDArray[T]) -> tuple[I64, NDArray[T]]:
    """A group number per row and the key of each group, by hashing: no sort."""
    encoded = pa.array(keys).dictionary_encode()
    codes: I64 = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    uniques: NDArray[T] = encoded.dictionary.to_numpy(zero_copy_only=False)
    return codes, uniques


def first_rows(groups: I64, count: int) -> I64:
    """A row of each group (which one is not said)."""
    rows = np.empty(count, np.int64)
    rows[groups] = np.arange(len(groups))
    return rows


def lowest(groups: I64, count: int, values: I64) -> I64:
    """The least value of each group."""
    low = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(low, groups, values)
    return low


def highest(groups: I64, count: int, values: I64) -> I64:
    """The greatest value of each group."""
    high = np.full(count, np.iinfo(np.int64).min)
    np.maximum.at(high, groups, values)
    return high


def summed(groups: I64, count: int, values: I64) -> I64:
    """The sum of each group, exact."""
    if len(values) and int(values.max()) * len(values) < 1 << 53:
        return np.bincount(groups, weights=values, minlength=count).astype(np.int64)
    total = np.zeros(count, np.int64)
    np.add.at(total, groups, values)
    return total


def flow_rank(parts: tuple[U64, U64, U64, U64, U64, U64, U64], told: U64, tags: U64) -> U64:
    """Order in which flows of one owner and pane are kept, from their content alone; distinct content, distinct rank.

    `parts` are route, path, user, address, agent, autonomous system and tenant, `told` is `outcome * 2 + login`;
    whatever is not a plain success ranks before all plain successes.
    """
    route, path, user, ip, agent, asn, tenant = parts
    rank = mixed(mixed(mixed(mixed(route ^ mixed(told + np.uint64(1))) ^ path) + user) ^ ip)
    rank = mixed(mixed(mixed(mixed(rank + agent) ^ asn) ^ tags) + tenant)
    half = np.uint64(1 << 63)
    return np.where(told == 0, rank | half, rank & ~half)
