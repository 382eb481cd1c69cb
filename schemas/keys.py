"""The one grammar of Redis keys.

    fw:{e}:feed                   stream  deltas of enforcement, one entry a change: v (version), op, body (JSON; a
                                          large one is in the snapshot alone, and its `uid` here);
                                          op `policy`: a version of the policy named in `body` was published
    fw:{e}:enforcement            hash    the snapshot: action uid -> action JSON; `version` -> last feed version in it
    fw:{e}:applied                hash    partition of `actions` -> last offset that is in the snapshot
    fw:{e}:target:KIND:VALUE      string  action JSON with the action's own expiry, for third parties to look up
    fw:{e}:pending                hash    action uid -> action JSON, of what waits for somebody's word
    fw:{e}:acks                   hash    node -> "VERSION AT_MS", the version that node runs and since when
    fw:{e}:nodes                  hash    node -> last heartbeat, epoch ms
    fw:{e}:health                 string  JSON, kept for seconds: how the site does, by the leading enforcer
    fw:{e}:policy:NAME            string  JSON: which version of that policy holds (schemas.policies.Order)
    fw:{e}:policy:NAME:DIGEST     hash    file name -> what stands in it, compressed: a version by its digest
    fw:{e}:policy:NAME:trial      hash    node -> JSON, what it saw of a version on trial (schemas.policies.Tried)
    fw:{e}:policy_acks            hash    node -> JSON, the version it runs (schemas.policies.Word)
    fw:l:{HASH}                   string  limiter state of one (rule, identity); HASH = 16 hex digits

Everything of enforcement carries the hash tag `{e}`, so that one script may touch the feed, the snapshot and a target
in a Redis Cluster; limiter state spreads by its own tag. A value in a key is percent-encoded and at most 128 bytes;
longer ones are replaced by `h-` and 32 hex digits of their hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import xxhash

VALUE_BYTES_MAX: Final = 128


def bounded(value: str) -> str:
    """`value` as it stands in a key: percent-encoded, hashed when that is longer than `VALUE_BYTES_MAX`."""
    encoded = quote(value, safe=".:-_@", errors="surrogatepass")
    if len(encoded) <= VALUE_BYTES_MAX:
        return encoded
    return "h-" + str(xxhash.xxh3_128_hexdigest(value.encode("utf-8", "surrogatepass")))


@dataclass(frozen=True, slots=True)
class Keys:
    """Key names under one prefix (`fw:` unless set), so that two installations can share a Redis."""

    prefix: str = "fw:"

    @property
    def feed(self) -> str:
        """Stream of deltas."""
        return f"{self.prefix}{{e}}:feed"

    @property
    def enforcement(self) -> str:
        """Hash: the snapshot."""
        return f"{self.prefix}{{e}}:enforcement"

    @property
    def applied(self) -> str:
        """Hash: partition of `actions` -> last offset in the snapshot."""
        return f"{self.prefix}{{e}}:applied"

    @property
    def pending(self) -> str:
        """Hash: what waits for somebody's word."""
        return f"{self.prefix}{{e}}:pending"

    @property
    def acks(self) -> str:
        """Hash: node -> version it runs and since when."""
        return f"{self.prefix}{{e}}:acks"

    @property
    def nodes(self) -> str:
        """Hash: node -> last heartbeat."""
        return f"{self.prefix}{{e}}:nodes"

    @property
    def health(self) -> str:
        """String: how the site does."""
        return f"{self.prefix}{{e}}:health"

    @property
    def policy_acks(self) -> str:
        """Hash: node -> what it says of the policy."""
        return f"{self.prefix}{{e}}:policy_acks"

    def policy(self, name: str, digest: str | None = None) -> str:
        """String: which version of the policy `name` holds; with `digest` the hash of that version's files."""
        return f"{self.prefix}{{e}}:policy:{name}" + (f":{digest}" if digest else "")

    def policy_trial(self, name: str) -> str:
        """Hash: node -> what it saw of the candidate of the policy `name`."""
        return f"{self.policy(name)}:trial"

    def target(self, kind: str, value: str) -> str:
        """String: the action in force on one target."""
        return f"{self.prefix}{{e}}:target:{kind}:{bounded(value)}"

    def limiter(self, rule: str, identity: str) -> str:
        """String: one limit's state for one identity; never longer than the prefix and 20 characters."""
        digest = xxhash.xxh3_64_hexdigest(f"{rule}\0{identity}".encode("utf-8", "surrogatepass"))
        return f"{self.prefix}l:{{{digest}}}"
