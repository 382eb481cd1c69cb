"""Records of `actions`: what is read is what was written, and costs little to keep."""

from __future__ import annotations

from test_enforcer_ledger import action

from enforcer import records
from enforcer.drafts import expired


def test_an_action_read_is_the_one_written_and_ends_apart_from_others() -> None:
    one, other = (records.action(records.encode(action(uid))) for uid in "ab")
    assert (one, other) == (action("a"), action("b"))
    ended = expired(one)
    assert records.action(records.encode(ended)) == ended
    assert other == action("b")


def test_thousands_of_actions_share_what_is_alike() -> None:
    one, other = (records.action(records.encode(action(uid))) for uid in "ab")
    assert one.model_fields_set is other.model_fields_set
    assert one.target.model_fields_set is other.target.model_fields_set


def test_an_action_that_says_less_says_so_still() -> None:
    brief = b'{"uid":"a","kind":"deny","status":"active","target":{"kind":"ip","value":"203.0.113.7"},"reason":"r",'
    read = records.action(brief + b'"owner":"auto","created_ms":1,"expires_ms":2}')
    assert "route" not in read.model_fields_set
    assert read.route is None
