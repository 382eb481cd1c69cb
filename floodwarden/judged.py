"""What people said of clients, as the store has it, in the words of the detectors."""

from __future__ import annotations

from collections.abc import Sequence

from enforcer.store.labels import Judged
from floodwarden.model_orders import KINDS
from schemas import codec
from schemas.networks import client
from stream.labels import Label, Labels


def labels_of(judged: Sequence[Judged]) -> Labels:
    """What was said of clients, for the detectors; of routes and networks there is no evidence of their own."""
    each = []
    for one in judged:
        kind, _, value = one.entity.partition(":")
        if kind in KINDS:
            each.append(Label(KINDS.index(kind), codec.text_hash(named(kind, value) or ""), one.family, one.true))
    return Labels(tuple(each))


def named(column: str, text: str | None) -> str | None:
    """Who is meant in the words of an alert: an address's client."""
    return client(text) if column == "ip" and text else text
