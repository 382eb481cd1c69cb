"""Records of `actions`: what is read is what was written, and costs little to keep."""

from __future__ import annotations

import json
from typing import Any

import pytest
from enforcer_world import alert
from test_enforcer_ledger import action

from enforcer import records
from enforcer.drafts import expired
from schemas.errors import BadMessageError


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


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"entity": None}, "bad_value", "entity"),
        ({"entity": {"kind": "ip"}}, "missing_field", "entity.value"),
        ({"entity": {"kind": "key", "value": ""}}, "bad_value", "entity.value"),
        ({"entity": {"kind": "planet", "value": "x"}}, "bad_value", "entity.kind"),
        ({"uid": ""}, "bad_value", "uid"),
        ({"first_ms": -5}, "bad_value", "first_ms"),
        ({"last_ms": 1 << 70}, "bad_value", "last_ms"),
        ({"v": 99}, "future_version", "v"),
    ],
)
def test_an_alert_about_nobody_or_of_no_time_is_refused_by_name(changes: dict[str, Any], code: str, field: str) -> None:
    told = json.loads(alert().model_dump_json())
    assert records.alert(json.dumps(told).encode()).uid == told["uid"]
    with pytest.raises(BadMessageError) as error:
        records.alert(json.dumps(told | changes).encode())
    assert (error.value.code, error.value.field) == (code, field)
